export interface OriginConfig {
  allowedOrigins: readonly string[]
  isProxyTrusted: boolean
}

/** Where a request was sent to, as the client sees it: behind a trusted proxy the first forwarded values. */
export function addressOf(
  request: Request,
  isProxyTrusted: boolean,
): { host: string; isSecure: boolean } {
  const forwarded = (name: string) =>
    isProxyTrusted ? request.headers.get(`x-forwarded-${name}`)?.split(',')[0]?.trim() : undefined
  return {
    host: forwarded('host') || (request.headers.get('host') ?? ''),
    isSecure: (forwarded('proto') || new URL(request.url).protocol.slice(0, -1)) === 'https',
  }
}

/**
 * Whether a page of this request's `Origin` may talk to us: there is none, it is the same host and port that the
 * request was sent to, or it is listed. `null` is foreign.
 */
export function isOriginAllowed(request: Request, config: OriginConfig): boolean {
  const origin = request.headers.get('origin')
  if (origin === null || config.allowedOrigins.includes(origin)) return true
  if (!URL.canParse(origin)) return false
  const { protocol, host } = new URL(origin)
  // The same scheme on both sides, so that a default port that only one of them writes doesn't count.
  const ours = `${protocol}//${addressOf(request, config.isProxyTrusted).host}`
  return host !== '' && URL.canParse(ours) && new URL(ours).host === host
}

/** For every answer to a page of an allowed origin. */
export function corsHeaders(headers: Headers, origin: string): void {
  headers.set('access-control-allow-origin', origin)
  headers.set('access-control-allow-credentials', 'true')
  headers.set('access-control-expose-headers', 'retry-after')
  headers.append('vary', 'origin')
}

/** Of an allowed origin: which calls its page may make. */
export function preflight(request: Request): Response {
  const headers = new Headers({
    'access-control-allow-methods': 'GET, HEAD, POST, PATCH, DELETE',
    'access-control-allow-headers':
      request.headers.get('access-control-request-headers') ??
      'authorization, content-type, idempotency-key, last-event-id',
    'access-control-max-age': '600',
  })
  return new Response(null, { status: 204, headers })
}
