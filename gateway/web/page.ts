import { fileURLToPath } from 'node:url'

/** The chat page: HTML, one script, one stylesheet, an icon. */
export interface Page {
  /** Answers the page's own paths (GET and HEAD), null for all others. */
  respond(request: Request): Promise<Response> | null
  /** Bundles ahead of the first request; called once the server listens, it costs nobody's time. */
  warm(): Promise<void>
}

interface Asset {
  body: Uint8Array<ArrayBuffer>
  gzip: Uint8Array<ArrayBuffer>
  etag: string
  type: string
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/**
 * Serves the page without a build step: the script is bundled in memory when it is first asked for (about 20 ms),
 * the HTML and the rest are files. Never the development server: no hot reload, no eval, a strict CSP.
 */
export function createPage(): Page {
  const file = (path: string, type: string) => async () =>
    asset(new Uint8Array(await Bun.file(here(path)).arrayBuffer()), type)
  const assets: Record<string, () => Promise<Asset>> = {
    '/': once(file('./index.html', 'text/html; charset=utf-8')),
    '/assets/app.js': once(async () => asset(await script(), 'text/javascript; charset=utf-8')),
    '/assets/app.css': once(async () => asset(await styles(), 'text/css; charset=utf-8')),
    '/favicon.svg': once(file('./favicon.svg', 'image/svg+xml')),
  }
  return {
    respond(request) {
      if (request.method !== 'GET' && request.method !== 'HEAD') return null
      const url = new URL(request.url)
      const load = Object.hasOwn(assets, url.pathname) ? assets[url.pathname] : undefined
      return load === undefined ? null : load().then((found) => answer(request, url, found))
    },
    async warm() {
      await Promise.all(Object.values(assets).map((load) => load()))
    },
  }
}

/** A failed load is tried again by the next request. */
function once(load: () => Promise<Asset>): () => Promise<Asset> {
  let loaded: Promise<Asset> | undefined
  return () => {
    loaded ??= load().catch((error: unknown) => {
      loaded = undefined
      throw error
    })
    return loaded
  }
}

async function script(): Promise<Uint8Array<ArrayBuffer>> {
  const built = await Bun.build({
    entrypoints: [here('./app/main.ts')],
    target: 'browser',
    minify: true,
  })
  const bundled = built.outputs[0]
  if (bundled === undefined) throw new Error('the page could not be bundled')
  return new Uint8Array(await bundled.arrayBuffer())
}

/** Joined, not bundled: the bundler rewrites what each browser of today knows. */
async function styles(): Promise<Uint8Array<ArrayBuffer>> {
  const names = ['base', 'frame', 'sidebar', 'thread', 'prose', 'dock', 'overlays', 'last']
  const texts = names.map((name) => Bun.file(here(`./style/${name}.css`)).text())
  return new TextEncoder().encode((await Promise.all(texts)).join('\n'))
}

function asset(body: Uint8Array<ArrayBuffer>, type: string): Asset {
  const etag = `"${new Bun.CryptoHasher('sha256').update(body).digest('base64url').slice(0, 22)}"`
  return { body, gzip: Bun.gzipSync(body), etag, type }
}

function answer(request: Request, url: URL, { body, gzip, etag, type }: Asset): Response {
  const headers = new Headers({
    etag,
    // Asked again each time, which is a 304 of a few bytes: a new version is there at once.
    'cache-control': 'no-cache',
    vary: 'accept-encoding',
    'x-content-type-options': 'nosniff',
  })
  if (request.headers.get('if-none-match') === etag)
    return new Response(null, { status: 304, headers })
  headers.set('content-type', type)
  if (type.startsWith('text/html')) pageHeaders(headers, url.host)
  const isZipped = /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')
  if (isZipped) headers.set('content-encoding', 'gzip')
  return new Response(request.method === 'HEAD' ? null : isZipped ? gzip : body, { headers })
}

/** `host` comes from a parsed URL, so it can't end the directive. Older Safari wants sockets named. */
function pageHeaders(headers: Headers, host: string): void {
  headers.set(
    'content-security-policy',
    [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      `connect-src 'self' ws://${host} wss://${host}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      'trusted-types dompurify',
    ].join('; '),
  )
  headers.set('referrer-policy', 'no-referrer')
  headers.set('cross-origin-opener-policy', 'same-origin')
}
