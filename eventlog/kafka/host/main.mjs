// The process in which the Confluent client is at home: `node main.mjs SOCKET`. It does what its parent says over that
// socket, knows nothing of the product, and ends with its parent.
import { createConnection } from 'node:net'
import { Asking } from './asking.mjs'
import { librdkafkaVersion } from './clients.mjs'
import { Consuming } from './consuming.mjs'
import { frameReader, jsonFrame, newFrame, said, told, version } from './frames.mjs'
import { Producing } from './producing.mjs'
import { Reading } from './reading.mjs'

const parentEveryMs = 500
const endMs = 5_000
// When to end is the parent's to say: a signal for the whole group must not take what is still to be written.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => undefined)

const socket = createConnection(process.argv[2] ?? '')
socket.on('close', end)
socket.on('error', end)
const parentPid = process.ppid
setInterval(() => {
  if (process.ppid !== parentPid) end()
}, parentEveryMs)

const parent = {
  /** @param {Buffer} frame */
  write: (frame) => void socket.write(frame),
  /** @param {object} event */
  tell: (event) => void socket.write(jsonFrame(said.event, event)),
}

/** @type {any} */
let settings = null
/** @type {Asking} */
let asking
/** @type {Reading} */
let reading
/** @type {Producing | null} */
let producing = null
/** @type {Map<number, Consuming>} */
const members = new Map()

/** @type {Record<string, (ask: any) => unknown>} */
const calls = {
  join({ member, topics, settings: own }) {
    const consuming = new Consuming(member, parent)
    members.set(member, consuming)
    consuming.start({ ...settings.consumer, ...own }, topics).catch(fail)
  },
  assign: (ask) => members.get(ask.member)?.assign(ask),
  unassign: (ask) => members.get(ask.member)?.unassign(ask),
  seek: (ask) => members.get(ask.member)?.seek(ask),
  leave: (ask) => members.get(ask.member)?.leave(ask),
  commit: (ask) => members.get(ask.member)?.commit(ask),
  async end({ member }) {
    await members.get(member)?.end()
    members.delete(member)
  },
  'read.open': (ask) => reading.open(ask),
  'read.next': (ask) => reading.next(ask),
  'read.close': (ask) => reading.close(ask),
  cluster: () => asking.cluster(),
  topics: () => asking.topics(),
  partitions: (ask) => asking.partitions(ask),
  createTopic: (ask) => asking.createTopic(ask),
  kept: (ask) => asking.kept(ask),
  offsetsAt: (ask) => asking.offsetsAt(ask),
  committed: (ask) => asking.committed(ask),
  groups: () => asking.groups(),
  close: () => producing?.end(endMs),
}

/** @type {Record<number, (body: Buffer) => void>} */
const handlers = {
  [told.hello]: (body) => hello(JSON.parse(body.toString())),
  [told.call]: (body) => void answer(JSON.parse(body.toString())),
  [told.produce](body) {
    if (producing === null) {
      producing = new Producing(parent)
      producing.start(settings.producer).catch(fail)
    }
    producing.produce(body)
  },
  [told.ping]: () => parent.write(newFrame(said.pong, 0)),
  [told.credit](body) {
    for (let at = 0; at < body.length; at += 12) {
      members
        .get(body.readUInt32LE(at))
        ?.credit(body.readUInt32LE(at + 4), body.readUInt32LE(at + 8))
    }
  },
}

socket.on(
  'data',
  frameReader((kind, body) => handlers[kind]?.(body)),
)

/** @param {any} greeting */
function hello(greeting) {
  if (greeting.version !== version) throw new Error(`speaks version ${version}`)
  settings = greeting
  asking = new Asking(settings.admin, parent.tell)
  reading = new Reading(settings.reader, parent)
  parent.write(jsonFrame(said.ready, { version, librdkafka: librdkafkaVersion }))
  void probe()
}

async function probe() {
  const { probeMs } = settings
  for (;;) {
    try {
      await asking.probe(probeMs)
      parent.tell({ is: 'reached' })
    } catch (error) {
      parent.tell({ is: 'away', reason: /** @type {Error} */ (error).message })
    }
    await new Promise((resolve) => setTimeout(resolve, probeMs))
  }
}

/** @param {{ id: number, method: string, ask: any }} call */
async function answer({ id, method, ask }) {
  try {
    const result = await calls[method]?.(ask)
    parent.write(jsonFrame(said.answer, { id, result: result ?? null }))
  } catch (error) {
    const { code, message, isRetriable } = /** @type {any} */ (error)
    parent.write(jsonFrame(said.answer, { id, error: { code, message, isRetriable } }))
  }
}

/** @param {any} error */
function fail(error) {
  process.stderr.write(`${error.stack}\n`)
  end()
}

// At once, whatever native threads are at.
function end() {
  process.kill(process.pid, 'SIGKILL')
}
