import type { Frame } from '../../chat/viewers/frame.ts'
import { streamHeaders } from './event-stream.ts'

/** A stream of which everything is known: nothing is watched, it just ends. */
export function framesResponse(frames: readonly Frame[]): Response {
  const pieces = frames.map((frame) => frame.event)
  return new Response(Buffer.concat([Buffer.from('retry: 1000\n\n'), ...pieces]), {
    headers: streamHeaders,
  })
}
