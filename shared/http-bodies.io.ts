// Reads the bodies of requests: JSON whole and checked, archives as a stream that breaks off
// where it grows too large.

import { Transform } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TucanoError } from './errors.ts'
import { ARCHIVE_TYPES, check, mayBeEmpty, parseBody, type Route } from './http-route.ts'

export function refuseOtherBodies(request: FastifyRequest, route: Route): void {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  const length = request.headers['content-length'] ?? '0'
  const empty = length === '0' && request.headers['transfer-encoding'] === undefined
  if (empty || request.method === 'GET' || request.method === 'HEAD') return
  const wanted = route.bodyKind === 'archive' ? ARCHIVE_TYPES : ['application/json']
  if (wanted.includes(type)) return
  throw new TucanoError('unsupported_type', `the body must be ${wanted.join(' or ')}`)
}

export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? undefined : parseBody(String(text)))
    } catch (error) {
      done(error as Error)
    }
  })
  app.addContentTypeParser(ARCHIVE_TYPES, (request, payload, done) => {
    const bytesMax = request.routeOptions.bodyLimit
    const tooLarge = new TucanoError('too_large', `the body is larger than ${bytesMax} bytes`)
    if (Number(request.headers['content-length'] ?? 0) > bytesMax) {
      done(tooLarge)
      return
    }
    let bytes = 0
    const counter = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        bytes += chunk.length
        next(bytes > bytesMax ? tooLarge : null, chunk)
      },
    })
    const breakOff = (cause?: unknown) =>
      counter.destroy(new TucanoError('invalid_request', 'the body was cut short', { cause }))
    payload.on('error', breakOff)
    payload.on('close', () => {
      if (!request.raw.complete) breakOff()
    })
    done(null, payload.pipe(counter))
  })
}

export function bodyOf(route: Route, body: unknown): unknown {
  if (route.bodyKind === 'archive') return body
  if (route.body === undefined) {
    const empty =
      body === undefined ||
      (typeof body === 'object' && body !== null && Object.keys(body).length === 0)
    if (empty) return undefined
    throw new TucanoError('invalid_request', 'this route takes no body')
  }
  if (body === undefined && !mayBeEmpty(route.body)) {
    throw new TucanoError('invalid_request', 'a JSON body is needed')
  }
  return check(route.body, body ?? {}, 'the body')
}
