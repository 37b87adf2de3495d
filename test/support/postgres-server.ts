import { postgresBin, postgresProcess } from './postgres-process.ts'
import { atEnd, opened } from './tracker.ts'

/** A PostgreSQL of the test's own, to be stopped and started; ends with the test or file. */
export interface PostgresServer {
  url: string
  start(): Promise<void>
  /** At once, as a crash would. */
  stop(): Promise<void>
}

/** Made, and started unless told otherwise. */
export async function postgresServer(options: { isStarted: boolean }): Promise<PostgresServer> {
  const bin = postgresBin()
  if (bin === null) {
    throw new Error('no PostgreSQL to start: "apt-get install -y postgresql" brings it')
  }
  const { url, start, kill, release } = await postgresProcess(bin)
  const closed = opened(`PostgreSQL at ${url}`)
  atEnd(async () => {
    await release()
    closed()
  })
  if (options.isStarted) await start()
  return { url, start, stop: kill }
}
