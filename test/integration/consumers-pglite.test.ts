import { consumersContract } from '../contract/consumers.ts'
import { pgliteParts } from '../contract/consumers-parts.ts'

consumersContract('SQLite and PGlite', pgliteParts)
