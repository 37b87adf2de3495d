// The Confluent client by itself in node: `node alone.mjs produce|consume BROKER TOPIC COUNT HEADERS [BYTES]`. Prints records/s.
import kafka from '@confluentinc/kafka-javascript'

const [what, broker, topic, count, headerCount, valueBytes = '240'] = process.argv.slice(2)
const wanted = Number(count)
const common = { 'metadata.broker.list': broker, 'client.id': 'bench' }
const outstandingMax = 40_000
const batch = 1_000

function produce() {
  const producer = new kafka.Producer({
    ...common,
    'enable.idempotence': true,
    acks: 'all',
    'message.timeout.ms': 0,
    'linger.ms': 5,
    'compression.codec': 'lz4',
    partitioner: 'murmur2_random',
    'queue.buffering.max.messages': 50_000,
    'queue.buffering.max.kbytes': 65_536,
    dr_cb: true,
  })
  const value = Buffer.alloc(Number(valueBytes), 'x')
  const headers = Array.from({ length: Number(headerCount) }, (_, at) => ({
    [`header-${at}`]: Buffer.from('value of a header'),
  }))
  let sent = 0
  let reported = 0
  let startedAt = 0
  const go = () => {
    while (sent < wanted && sent - reported < outstandingMax) {
      for (let at = 0; at < batch; at += 1) {
        const key = Buffer.from(`key-${sent % 9_973}`)
        producer.produce(topic, -1, value, key, 1_785_748_542_517, sent, headers)
        sent += 1
      }
    }
  }
  producer.on('delivery-report', (error) => {
    if (error) throw error
    reported += 1
    if (reported === wanted) end(startedAt)
    else if (reported % batch === 0) go()
  })
  producer.on('ready', () => {
    producer.setPollInBackground(true)
    startedAt = performance.now()
    go()
  })
  producer.connect()
}

function consume() {
  const consumer = new kafka.KafkaConsumer(
    {
      ...common,
      'group.id': `bench-${process.pid}-${Date.now()}`,
      'enable.auto.commit': false,
      'enable.auto.offset.store': false,
      'partition.assignment.strategy': 'cooperative-sticky',
      'queued.max.messages.kbytes': 16_384,
    },
    { 'auto.offset.reset': 'earliest' },
  )
  consumer.setDefaultConsumeTimeout(100)
  consumer.setDefaultIsTimeoutOnlyForFirstMessage(true)
  let found = 0
  let startedAt = 0
  const go = () =>
    consumer.consume(batch, (error, messages) => {
      if (error) throw error
      if (startedAt === 0 && messages.length > 0) startedAt = performance.now()
      found += messages.length
      if (found >= wanted) end(startedAt)
      else go()
    })
  consumer.on('ready', () => {
    consumer.subscribe([topic])
    go()
  })
  consumer.connect()
}

function end(startedAt) {
  process.stdout.write(`${Math.round(wanted / ((performance.now() - startedAt) / 1_000))}\n`)
  process.kill(process.pid, 'SIGKILL')
}

if (what === 'produce') produce()
else consume()
