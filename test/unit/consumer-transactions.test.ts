import { describe, expect, test } from 'bun:test'
import { Transactions, type TransactionsOptions } from '#consumers/transactions.ts'
import type { Database, Db } from '#db/client.ts'
import { DatabaseAway } from '#db/errors.ts'

/** Keeps what was committed, transaction by transaction; `fails` decides over each try. */
class Committed implements Database {
  readonly transactions: string[][] = []
  db = { written: [] as string[] } as unknown as Db
  tries = 0
  running = 0
  mostRunning = 0
  fails: (tries: number) => Error | null = () => null

  async transaction<T>(work: (tx: Db) => Promise<T>): Promise<T> {
    this.tries += 1
    this.running += 1
    this.mostRunning = Math.max(this.mostRunning, this.running)
    const written: string[] = []
    try {
      const failure = this.fails(this.tries)
      if (failure !== null) throw failure
      await Bun.sleep(1)
      const result = await work({ written } as unknown as Db)
      this.transactions.push(written)
      return result
    } finally {
      this.running -= 1
    }
  }

  health() {
    return Promise.resolve({ state: 'up' } as const)
  }

  async [Symbol.asyncDispose]() {
    this.transactions.length = 0
  }
}

const together: TransactionsOptions = { concurrent: 1, worksMax: 200, gatherMs: 5, share: 1 }
const write = (text: string) => async (tx: Db) => {
  ;(tx as unknown as { written: string[] }).written.push(text)
}
const outcomes = async (runs: Promise<void>[]) =>
  (await Promise.allSettled(runs)).map((result) =>
    result.status === 'fulfilled' ? 'done' : String(result.reason.message),
  )

describe('transactions that works share', () => {
  test('what comes together is committed together', async () => {
    const database = new Committed()
    const transactions = new Transactions(database, together)
    const runs = ['a', 'b', 'c'].map((text) => transactions.run(write(text)))
    expect(await outcomes(runs)).toEqual(['done', 'done', 'done'])
    expect(database.transactions).toEqual([['a', 'b', 'c']])
  })

  test('one that fails costs the others nothing: each is then alone', async () => {
    const database = new Committed()
    const transactions = new Transactions(database, together)
    const runs = [
      transactions.run(write('a')),
      transactions.run(async (tx) => {
        await write('half')(tx)
        throw new Error('bad')
      }),
      transactions.run(write('c')),
    ]
    expect(await outcomes(runs)).toEqual(['done', 'bad', 'done'])
    expect(database.transactions).toEqual([['a'], ['c']])
  })

  test('a database that is away fails them all at once, without a try for each', async () => {
    const database = new Committed()
    database.fails = () => new DatabaseAway('gone')
    const transactions = new Transactions(database, together)
    const runs = ['a', 'b', 'c'].map((text) => transactions.run(write(text)))
    expect(await outcomes(runs)).toEqual(['gone', 'gone', 'gone'])
    expect(database.tries).toBe(1)
  })

  test('a commit that fails without an outage is tried for each alone', async () => {
    const database = new Committed()
    database.fails = (tries) => (tries === 1 ? new Error('deferred constraint') : null)
    const transactions = new Transactions(database, together)
    const runs = ['a', 'b'].map((text) => transactions.run(write(text)))
    expect(await outcomes(runs)).toEqual(['done', 'done'])
    expect(database.transactions).toEqual([['a'], ['b']])
  })

  test('never more at a time, and never more works in one, than is allowed', async () => {
    const database = new Committed()
    const options = { concurrent: 2, worksMax: 3, gatherMs: 1, share: 1 }
    const transactions = new Transactions(database, options)
    const texts = Array.from({ length: 20 }, (_, at) => String(at))
    await Promise.all(texts.map((text) => transactions.run(write(text))))
    expect(database.mostRunning).toBe(2)
    expect(Math.max(...database.transactions.map(({ length }) => length))).toBe(3)
    expect(database.transactions.flat().sort()).toEqual(texts.sort())
  })

  test('rests after a transaction for as long as its share says', async () => {
    const database = new Committed()
    const clock = {
      nowMs: 1_000,
      now: () => clock.nowMs,
      random: () => 0.5,
      sleep: () => Promise.resolve(),
    }
    const transactions = new Transactions(database, {
      ...together,
      gatherMs: 0,
      share: 0.25,
      clock,
    })
    await transactions.run(async () => {
      clock.nowMs += 20
    })
    const startedMs = performance.now()
    await transactions.turn()
    // 20 ms of work are a quarter: 60 ms of rest.
    expect(performance.now() - startedMs).toBeGreaterThan(50)
    clock.nowMs += 60
    await transactions.turn()
  })

  test('whoever waits for a turn gets it while works wait, too', async () => {
    const database = new Committed()
    const transactions = new Transactions(database, { ...together, gatherMs: 0 })
    const first = transactions.run(write('a'))
    await first
    const turns = Promise.all([transactions.turn(), transactions.turn()])
    await turns
    await transactions.run(write('b'))
    expect(database.transactions).toEqual([['a'], ['b']])
  })
})
