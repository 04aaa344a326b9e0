// The OpenAPI document against real answers: each route is called, and what it answers must be
// what the document promises.

import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApiPath } from '#ctld/api/openapi.ts'
import { createDoor } from '#shared/http-door.io.ts'
import { route } from '#shared/http-route.ts'
import { aNode, createFakeCtld } from '#test/fakes/ctld.ts'
import { AGENT_TOKEN, createTestApi } from '#test/helpers/api.ts'
import { bodyFor, headersFor, tableOfRoutes, titleOf, urlOf } from '#test/helpers/route-table.ts'

type Content = Record<string, { schema?: object }>
type Operation = {
  security?: unknown[]
  parameters: { name: string; in: string; required?: boolean }[]
  requestBody?: { content: Content }
  responses: Record<string, { content?: Content; $ref?: string }>
}
type Document = {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object>; responses: Record<string, { content: Content }> }
}

const routes = tableOfRoutes()
const ajv = new Ajv2020({ strict: false, allErrors: true })
const agent = createDoor({
  routes: ['/v1/instances', '/v1/instances/:id/log'].map((path) =>
    route({
      method: 'GET',
      path,
      summary: 'An agent',
      access: ['agent'],
      answers: {},
      handle: () => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: 'a line' }),
    }),
  ),
  tokens: { agent: AGENT_TOKEN },
  log: { debug() {}, info() {}, warn() {}, error() {} },
  isStarted: () => true,
})
let document: Document

beforeAll(async () => {
  await agent.listen({ host: '127.0.0.1', port: 0 })
  document = (await createTestApi().ask('GET', '/v1/openapi.json')).json()
})
afterAll(() => agent.close())

test('the document has every route and no other', () => {
  const written = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const real = routes.map(({ method, path }) => `${method} ${openApiPath(path)}`)
  expect(written.sort()).toEqual(real.sort())
  expect(document.openapi).toBe('3.1.0')
})

test('every path parameter of a route is described, and operation ids are unique', () => {
  const ids = new Set<unknown>()
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const operation of Object.values(operations)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const described = operation.parameters.filter((one) => one.in === 'path')
      expect([path, described.map(({ name }) => name).sort()]).toEqual([path, inPath.sort()])
      ids.add((operation as { operationId?: string }).operationId)
    }
  }
  expect(ids.size).toBe(routes.length)
})

test.each(routes.map((one) => [titleOf(one), one] as const))(
  '%s answers what the document promises',
  async (_title, route) => {
    const api = apiWithAgent()
    const body = bodyFor(route)
    const token = route.path.startsWith('/v1/agents/') ? { token: AGENT_TOKEN } : {}
    const more = { body, headers: headersFor(route), ...token }
    const answer = await api.ask(route.method, urlOf(route), more)
    await api.app.close()

    const operation = operationOf(route.method, route.path)
    const promised = operation.responses[String(answer.statusCode)]
    expect(promised, answer.body).toBeDefined()
    if (route.method === 'HEAD') return
    const type = String(answer.headers['content-type']).split(';')[0] ?? ''
    const content = promised?.content?.[type] ?? promised?.content?.['*/*']
    expect(content, type).toBeDefined()
    if (content?.schema !== undefined) expectFits(content.schema, answer.json())
    const asked = operation.requestBody?.content['application/json']?.schema
    if (asked !== undefined) expectFits(asked, body)
  },
)

test.each(routes.map((one) => [titleOf(one), one] as const))(
  '%s fails as the document promises',
  async (_title, route) => {
    const answer = await createTestApi().ask(route.method, `${urlOf(route)}?token=x`)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    // An answer to HEAD has no body.
    if (route.method === 'HEAD') return
    const { $ref } = operationOf(route.method, route.path).responses.default ?? {}
    expect($ref).toBe('#/components/responses/Problem')
    expectFits(document.components.schemas.Problem ?? {}, answer.json())
  },
)

function apiWithAgent() {
  const { port } = agent.server.address() as { port: number }
  const nodes = [aNode({ agent_port: port }), aNode({ name: 'w2', metrics: null, silentMs: null })]
  return createTestApi({ ctld: createFakeCtld({ nodes }) })
}

function operationOf(method: string, path: string): Operation {
  const operation = document.paths[openApiPath(path)]?.[method.toLowerCase()]
  if (operation === undefined) throw new Error(`${method} ${path} is not in the document`)
  return operation
}

function expectFits(schema: object, value: unknown): void {
  const validate = ajv.compile(schema)
  validate(value)
  expect(validate.errors ?? []).toEqual([])
}
