// An API in one line: a fake controller behind the real door.

import type { FastifyInstance, InjectOptions } from 'fastify'
import { type ApiOptions, createApi } from '#ctld/api/api.io.ts'
import type { Log, LogFields } from '#shared/ports.ts'
import { busyCounters } from '#test/fakes/counters.ts'
import { createFakeCtld, DIGEST, type FakeCtld } from '#test/fakes/ctld.ts'
import { createFakeImageStore, type FakeImageStore } from '#test/fakes/image-store.ts'
import { createManualClock, type ManualClock } from './manual-clock.ts'

export const ADMIN_TOKEN = 'admin-token-8d1f'
export const AGENT_TOKEN = 'agent-token-77aa'

export type TestApi = {
  app: FastifyInstance
  ctld: FakeCtld
  images: FakeImageStore
  clock: ManualClock
  lines: { level: string; text: string; fields: LogFields }[]
  /** As the admin, unless another token is given; null: without one. */
  ask(
    method: InjectOptions['method'] & string,
    url: string,
    more?: {
      body?: unknown
      token?: string | null
      headers?: Record<string, string>
      peer?: string
    },
  ): ReturnType<typeof inject>
}

export function createTestApi(options: Partial<ApiOptions> & { ctld?: FakeCtld } = {}): TestApi {
  const ctld = options.ctld ?? createFakeCtld()
  const images = createFakeImageStore(DIGEST)
  const clock = createManualClock()
  const lines: TestApi['lines'] = []
  const note = (level: string) => (fields: LogFields, text: string) => {
    lines.push({ level, text, fields })
  }
  const log: Log = {
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
  }
  const app = createApi({
    images,
    adminToken: ADMIN_TOKEN,
    agentToken: AGENT_TOKEN,
    log,
    version: '0.1.0',
    counters: async () => busyCounters(),
    inForce: async () => true,
    isStarted: () => true,
    clock,
    ...options,
    ctld,
  })
  return {
    app,
    ctld,
    images,
    clock,
    lines,
    ask: (method, url, more = {}) => inject(app, method, url, more),
  }
}

function inject(
  app: FastifyInstance,
  method: string,
  url: string,
  more: { body?: unknown; token?: string | null; headers?: Record<string, string>; peer?: string },
) {
  const token = more.token === undefined ? ADMIN_TOKEN : more.token
  return app.inject({
    method: method as 'GET',
    url,
    remoteAddress: more.peer ?? '127.0.0.1',
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...more.headers,
    },
    ...(more.body === undefined ? {} : { payload: more.body as object }),
  })
}
