// The agent's API behind the shared door: one token, that of the controller.

import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Agentd } from '#agentd/agentd.ts'
import { follow, tail } from '#agentd/runner/log-file.io.ts'
import { createDoor, type DoorLimits } from '#shared/http-door.io.ts'
import type { Log } from '#shared/ports.ts'
import { type AgentLogs, agentRoutes } from './routes.ts'

export type AgentApiOptions = {
  agentd: Agentd
  token: string
  log: Log
  /** Where an instance's output is written. */
  logPath: (id: string) => string
  buildLog: AgentLogs['build']
  limits?: Partial<DoorLimits>
}

/** Builds the API without listening. */
export function createAgentApi(options: AgentApiOptions): FastifyInstance {
  const { agentd, token, log, logPath, buildLog, limits } = options
  const logs: AgentLogs = {
    async instance(id, lines, signal) {
      if (signal !== undefined) return Readable.from(ended(follow(logPath(id), lines, signal)))
      return Readable.from(ended(await tail(logPath(id), lines)))
    },
    build: buildLog,
  }
  return createDoor({
    routes: agentRoutes(agentd, logs),
    tokens: { controller: token },
    log,
    isStarted: () => agentd.health().status !== 'starting',
    ...(limits === undefined ? {} : { limits }),
  })
}

async function* ended(lines: Iterable<string> | AsyncIterable<string>) {
  for await (const line of lines) yield `${line}\n`
}
