import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ensurePackages } from './debian.ts'
import { run, tryRun } from './run.ts'

export interface SetupOptions {
  /** The folder of `package.json`. */
  root: string
  /** Where a client that was built stays for the next clone. */
  cacheDir: string
  env: Record<string, string | undefined>
  say(line: string): void
}

/** How the client came to be usable. */
type Setup = 'was there' | 'from the cache' | 'prebuilt' | 'built'

interface Place extends SetupOptions {
  /** The package in `node_modules`. */
  package: string
  node: string
  /** `build/` of this version for this node. */
  cache: string
}

const name = '@confluentinc/kafka-javascript'
const nodeMin = 20
const downloadMs = 60_000
const packages = ['g++', 'make', 'python3', 'libssl-dev', 'libsasl2-dev', 'zlib1g-dev']
const packagesOfLibrdkafka = ['libzstd-dev', 'libcurl4-openssl-dev']

/**
 * Makes the Confluent client usable for the `node` of this machine: prebuilt where that can be had, else from the
 * package's own source. Does nothing, and needs no network, when it is usable. Throws a line that says what is missing.
 */
export async function ensureKafkaClient(options: SetupOptions): Promise<Setup> {
  const place = await placeOf(options)
  if (await loads(place)) return 'was there'
  if (await take(place, place.cache)) return 'from the cache'
  const folder = mkdtempSync(join(tmpdir(), 'sluice-setup-'))
  try {
    if (await download(place, folder)) return await keep(place, folder, 'prebuilt')
    await build(place, folder)
    return await keep(place, folder, 'built')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function placeOf(options: SetupOptions): Promise<Place> {
  const node = Bun.which('node')
  const ask = ['-p', '[process.versions.modules, process.platform, process.arch].join("-")']
  const missing = `node ${nodeMin} or newer is needed: the Kafka client runs in it`
  if (node === null) throw new Error(missing)
  const major = Number((await run([node, '-p', 'process.versions.node'])).split('.')[0])
  if (!(major >= nodeMin)) throw new Error(`${missing} (${node} is ${major})`)
  const folder = join(options.root, 'node_modules', name)
  if (!existsSync(folder)) throw new Error(`${name} is not installed: run "bun install"`)
  const { version } = await Bun.file(join(folder, 'package.json')).json()
  const cache = `kafka-javascript-${version}-node${(await run([node, ...ask])).trim()}`
  return { ...options, package: folder, node, cache: join(options.cacheDir, cache, 'build') }
}

/** Whether `node` can use the client as it stands in `node_modules`. */
async function loads({ root, node }: Place): Promise<boolean> {
  const { code } = await tryRun([node, '-e', `require('${name}')`], { cwd: root })
  return code === 0
}

/** Puts what was made into the package; takes it away again when it can't be used. */
async function take(place: Place, from: string): Promise<boolean> {
  if (!existsSync(from)) return false
  const to = join(place.package, 'build')
  rmSync(to, { recursive: true, force: true })
  copyBuild(from, to)
  if (await loads(place)) return true
  rmSync(to, { recursive: true, force: true })
  return false
}

/** Only what is needed to run: the addon and its library. */
function copyBuild(from: string, to: string): void {
  const isWanted = (path: string) => {
    const rest = path.slice(from.length)
    return /^$|^\/(Release|deps)$|^\/Release\/[^/]+\.node$|^\/deps\/librdkafka[^/]*\.so[^/]*$/.test(
      rest,
    )
  }
  const partly = `${to}.${process.pid}`
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, partly, { recursive: true, filter: isWanted, verbatimSymlinks: true })
  if (existsSync(to)) rmSync(partly, { recursive: true })
  else renameSync(partly, to)
}

async function keep(place: Place, folder: string, how: Setup): Promise<Setup> {
  const made = join(folder, 'node_modules', name, 'build')
  if (!(await take(place, made))) throw new Error(`${name} is ${how}, but node cannot load it`)
  rmSync(place.cache, { recursive: true, force: true })
  copyBuild(made, place.cache)
  return how
}

async function download(place: Place, folder: string): Promise<boolean> {
  const own = join(folder, 'node_modules', name)
  const program = join(place.root, 'node_modules/@mapbox/node-pre-gyp/bin/node-pre-gyp')
  if (!existsSync(program)) return false
  place.say('Looking for a prebuilt Kafka client…')
  mkdirSync(own, { recursive: true })
  cpSync(join(place.package, 'package.json'), join(own, 'package.json'))
  const command = [place.node, program, 'install']
  const { code } = await tryRun(command, { cwd: own, env: place.env, timeoutMs: downloadMs })
  if (code === 0 && (await take(place, join(own, 'build')))) return true
  rmSync(own, { recursive: true, force: true })
  return false
}

async function build(place: Place, folder: string): Promise<void> {
  await ensurePackages({
    what: 'What the Kafka client is built with is',
    packages: [...packages, ...packagesOfLibrdkafka],
    isThere: () => hasTools(),
    env: place.env,
    say: place.say,
  })
  place.say('Building the Kafka client from its source, which takes a minute or two…')
  const own = join(folder, 'node_modules', name)
  cpSync(place.package, own, { recursive: true })
  rmSync(join(own, 'build'), { recursive: true, force: true })
  cpSync(join(place.root, 'node_modules/nan'), join(folder, 'node_modules/nan'), {
    recursive: true,
  })
  const prefix = dirname(dirname(realpathSync(place.node)))
  const env = {
    ...place.env,
    CKJS_LINKING: 'dynamic',
    ...(existsSync(join(prefix, 'include/node/node.h')) && { npm_config_nodedir: prefix }),
  }
  // Made first: what the build makes of it may else run before it is there.
  await run([place.node, 'util/configure.js'], { cwd: own, env })
  const command = [...nodeGyp(place.node), 'rebuild', '--release', '-j', 'max']
  await run(command, { cwd: own, env })
}

const headers = ['openssl/ssl.h', 'sasl/sasl.h', 'zlib.h', 'zstd.h']

function hasTools(): boolean {
  const isTool = (tool: string) => Bun.which(tool) !== null
  const isHeader = (path: string) => existsSync(join('/usr/include', path))
  const hasCurl = ['', 'x86_64-linux-gnu', 'aarch64-linux-gnu'].some((triplet) =>
    isHeader(join(triplet, 'curl/curl.h')),
  )
  return ['g++', 'make', 'python3'].every(isTool) && headers.every(isHeader) && hasCurl
}

/** The builder that comes with npm, else that of the registry. */
function nodeGyp(node: string): string[] {
  const own = Bun.which('node-gyp')
  if (own !== null) return [own]
  const npm = Bun.which('npm')
  const folders = npm === null ? [] : [dirname(dirname(realpathSync(npm)))]
  folders.push(join(dirname(dirname(realpathSync(node))), 'lib/node_modules/npm'))
  for (const folder of folders) {
    const program = join(folder, 'node_modules/node-gyp/bin/node-gyp.js')
    if (existsSync(program)) return [node, program]
  }
  return ['npx', '-y', 'node-gyp@12']
}
