import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { quietLog } from '#runtime/log.ts'

// A member of its own process: says what it handles, commits it, and leaves on SIGTERM.
const [broker = '', group = '', topic = ''] = process.argv.slice(2)
const say = (line: object) => void process.stdout.write(`${JSON.stringify(line)}\n`)
const stopping = new AbortController()
process.on('SIGTERM', () => stopping.abort())

await using log = kafkaLog({ brokers: [broker], clientId: 'sluice-test', log: quietLog })
await using member = await log.join({ group, topics: [topic], from: 'beginning' })
say({ is: 'joined', client: log.pid })
while (!stopping.signal.aborted) {
  for (const { partition, records } of await member.poll(50, stopping.signal)) {
    const values = records.map(({ value }) => Number(new TextDecoder().decode(value ?? undefined)))
    const offset = (records.at(-1)?.offset ?? 0) + 1
    say({ is: 'handled', partition, values })
    await member.commit([{ topic, partition, offset }]).catch(() => say({ is: 'not committed' }))
  }
}
say({ is: 'leaving' })
