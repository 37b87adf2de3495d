import { kafkaAdapter } from '../support/kafka.ts'
import { eventLogContract } from './event-log.ts'

eventLogContract('kafka', kafkaAdapter)
