// Routes of images: packed programs, stored under the digest of their bytes (M21, Q11).

import type { Readable } from 'node:stream'
import { z } from 'zod'
import { TucanoError } from '#shared/errors.ts'
import { type Answer, type Route, route } from '#shared/http-route.ts'
import { DIGEST_PATTERN } from '#shared/wire.ts'
import { ADMIN, ADMIN_OR_AGENT, type ApiContext, answer, ok } from './context.ts'

export const DIGEST_HEADER = 'x-tucano-digest'

const digest = z.string().regex(DIGEST_PATTERN).meta({ expected: '`sha256:` and 64 hex digits' })
const digestParams = z.strictObject({ digest })
const count = z.int().min(0)
const imageAnswer = z.strictObject({ digest: z.string(), bytes: count })
const storedAnswer = imageAnswer.extend({ storedAt: z.number() })
const fileSpec = {
  description: 'The packed program',
  type: 'application/gzip',
  headers: ['content-length', 'etag'],
}

export function imageRoutes({ images }: ApiContext): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/images',
      summary: 'Stores a packed program (.tar.gz)',
      access: ADMIN,
      bodyKind: 'archive',
      query: z.strictObject({ digest: digest.optional() }),
      headers: [DIGEST_HEADER],
      answers: { 201: { ...answer('Stored', imageAnswer), headers: ['location'] } },
      async handle({ body, query, headers }) {
        if (body === undefined) throw new TucanoError('invalid_request', 'the body is missing')
        const expected = expectedDigest(query.digest, headers[DIGEST_HEADER])
        const stored = await images.put(body as Readable, expected)
        const location = `/v1/images/${stored.digest}`
        return { status: 201, headers: { location }, body: stored }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/images',
      summary: 'All stored images, newest first',
      access: ADMIN,
      answers: { 200: answer('Images', z.strictObject({ images: z.array(storedAnswer) })) },
      handle: async () => ok({ images: await images.list() }),
    }),
    route({
      method: 'GET',
      path: '/v1/images/:digest',
      summary: 'The packed program',
      access: ADMIN_OR_AGENT,
      params: digestParams,
      answers: { 200: fileSpec },
      async handle({ params }): Promise<Answer> {
        const { stream, bytes } = await open(images, params.digest)
        return { status: 200, headers: fileHeaders(params.digest, bytes), stream }
      },
    }),
    route({
      method: 'HEAD',
      path: '/v1/images/:digest',
      summary: 'Whether the packed program is stored, and its size',
      access: ADMIN_OR_AGENT,
      params: digestParams,
      answers: { 200: fileSpec },
      async handle({ params }): Promise<Answer> {
        const { stream, bytes } = await open(images, params.digest)
        stream.destroy()
        return { status: 200, headers: fileHeaders(params.digest, bytes) }
      },
    }),
  ]
}

function expectedDigest(
  query: string | undefined,
  header: string | string[] | undefined,
): string | undefined {
  if (header === undefined) return query
  const given = digest.safeParse(header)
  if (!given.success) {
    throw new TucanoError('invalid_request', `${DIGEST_HEADER} is not sha256: and 64 hex digits`)
  }
  if (query === undefined || query === given.data) return given.data
  throw new TucanoError('invalid_request', `${DIGEST_HEADER} and the query name different digests`)
}

async function open(images: ApiContext['images'], digest: string) {
  const image = await images.open(digest)
  if (image === undefined) throw new TucanoError('not_found', `there is no image ${digest}`)
  return image
}

function fileHeaders(digest: string, bytes: number): Record<string, string> {
  return {
    'content-type': 'application/gzip',
    'content-length': String(bytes),
    etag: `"${digest}"`,
  }
}
