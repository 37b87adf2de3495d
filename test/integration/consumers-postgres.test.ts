import { consumerEdgesContract, consumersContract } from '../contract/consumers.ts'
import { postgresParts } from '../contract/consumers-parts.ts'

consumersContract('SQLite and Postgres', postgresParts)
consumerEdgesContract('SQLite and Postgres', postgresParts)
