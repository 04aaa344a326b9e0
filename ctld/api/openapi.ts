// The OpenAPI 3.1 document, made from the table of routes and their schemas.

import { z } from 'zod'
import type { AnswerSpec, Route } from '#shared/http-route.ts'
import { ARCHIVE_TYPES, mayBeEmpty } from '#shared/http-route.ts'
import { PROBLEM_TYPE, problemSchema } from '#shared/problem.ts'

type Json = Record<string, unknown>

export function openApiOf(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    const path = openApiPath(route.path)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Tucano controller', version },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
      responses: {
        Problem: {
          description: 'What went wrong (RFC 9457)',
          content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  }
}

/** `/v1/images/{digest}`; a rest (`*`) is the parameter `path`. */
export function openApiPath(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}').replace('*', '{path}')
}

function operationOf(route: Route): Json {
  const answers = Object.entries(route.answers).map(([status, spec]) => [status, answerOf(spec)])
  const body = bodyOf(route)
  return {
    summary: route.summary,
    operationId: operationId(route),
    ...(route.access === 'anyone' ? { security: [] } : { 'x-roles': route.access }),
    parameters: [
      ...parametersOf('path', route.params),
      ...parametersOf('query', route.query),
      ...(route.headers ?? []).map((name) => ({ name, in: 'header', schema: { type: 'string' } })),
    ],
    ...(body === undefined ? {} : { requestBody: body }),
    responses: {
      ...Object.fromEntries(answers),
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}

function operationId({ method, path }: Route): string {
  const words = path
    .replace('*', 'path')
    .split(/[/:.]+/)
    .filter(Boolean)
  return [method.toLowerCase(), ...words].join('_')
}

function parametersOf(place: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = jsonSchema(schema, 'input') as {
    properties?: Record<string, Json>
    required?: string[]
  }
  return Object.entries(properties).map(([name, of]) => ({
    name: name === '*' ? 'path' : name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: of,
  }))
}

function bodyOf(route: Route): Json | undefined {
  if (route.bodyKind === 'archive') {
    const types = ARCHIVE_TYPES.map((type) => [type, { schema: {} }])
    return { required: true, content: Object.fromEntries(types) }
  }
  const schema = route.bodyShape ?? route.body
  if (schema === undefined) return undefined
  return {
    required: !mayBeEmpty(schema),
    content: { 'application/json': { schema: jsonSchema(schema, 'input') } },
  }
}

function answerOf({ description, schema, type, alsoType, headers }: AnswerSpec): Json {
  const content: Json = {}
  if (schema !== undefined) content['application/json'] = { schema: jsonSchema(schema, 'output') }
  if (type !== undefined) content[type] = {}
  if (alsoType !== undefined) content[alsoType] = {}
  const names = (headers ?? []).map((name) => [name, { schema: { type: 'string' } }])
  return { description, content, headers: Object.fromEntries(names) }
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}
