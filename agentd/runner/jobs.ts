// Does what converge decided, one instance at a time and all instances side by side, and posts
// what came of it as events. Every job ends in exactly one event, whatever fails in it.

import {
  type AgentdPorts,
  type InstancePage,
  PrepareError,
  type ProbeAnswer,
  type Shortage,
} from '#agentd/ports.ts'
import type { Secrets } from '#agentd/secrets/secrets.ts'
import { unreachable } from '#shared/assert.ts'
import { messageOf } from '#shared/errors.ts'
import { createOneAtATime } from '#shared/one-at-a-time.ts'
import { INSTANCES_PER_NODE_MAX } from '#shared/wire.ts'
import type { WireCheck } from '#shared/wire-checks.ts'
import { livenessOf, readinessOf, startupOf } from './checks.ts'
import type { Action } from './converge.ts'
import type { Process, ProcessEvent } from './process.ts'

export type PortRange = { from: number; to: number }

export type Jobs = {
  begin(action: Action, was: Process, is: Process): void
  /** Resolves when no start is under way: what it started is known. */
  launched(): Promise<void>
}

export function createJobs(
  ports: Pick<AgentdPorts, 'programs' | 'images' | 'notebook' | 'dice' | 'log'> & {
    secrets: Secrets
  },
  options: {
    portRange: PortRange
    /** Ports of the other instances on this node. */
    takenPorts: (exceptId: string) => Set<number>
    post: (id: string, event: ProcessEvent) => void
    onForgotten: (id: string) => void
    onBug: (error: unknown) => void
  },
): Jobs {
  const { programs, images, notebook, dice, log, secrets } = ports
  const { portRange, takenPorts, post, onBug } = options
  const choosing = createOneAtATime('port choices', INSTANCES_PER_NODE_MAX)
  const chosen = new Map<string, number>()
  const launching = new Set<Promise<void>>()

  async function prepare({ page: { id, spec } }: Process): Promise<void> {
    try {
      const onPhase = (phase: 'fetching' | 'building') => post(id, { kind: 'phase', phase })
      const { folder } = await images.prepare(spec.image, onPhase)
      post(id, { kind: 'prepared', folder })
    } catch (error) {
      const failure = error instanceof PrepareError ? error.detail : { error: messageOf(error) }
      post(id, { kind: 'not_prepared', failure })
    }
  }

  async function launch(process: Process): Promise<void> {
    const { id, spec } = process.page
    let port = 0
    try {
      const { variables, files } = secrets.of(spec.secrets ?? [])
      port = await choosing.run(() => choosePort(process))
      // The intent before the program: what runs without a page is found by its mark.
      const page: InstancePage = { ...process.page, port, program: undefined }
      await notebook.savePage(page)
      const mark = await programs.start({
        id,
        argv: spec.image.run,
        folder: process.folder ?? '',
        env: { ...spec.env, ...variables, PORT: String(port) },
        files,
        volumes: { service: spec.service, names: spec.volumes ?? [] },
        limits: spec.limits,
        user: spec.user,
      })
      post(id, { kind: 'launched', mark, port })
    } catch (error) {
      post(id, { kind: 'not_launched', error: `cannot be started: ${messageOf(error)}`, port })
    } finally {
      chosen.delete(id)
    }
  }

  async function choosePort({ page, avoid }: Process): Promise<number> {
    const { id, spec } = page
    const taken = new Set([...takenPorts(id), ...chosen.values()])
    const isMine = async (port: number) => !taken.has(port) && (await programs.isPortFree(port))
    let port: number | undefined = spec.host_port
    if (port !== undefined) {
      if (!(await isMine(port))) throw new Error(`port ${port} is in use on this node`)
    } else if (page.port !== 0 && !avoid.includes(page.port) && (await isMine(page.port))) {
      port = page.port // Requests that are on their way find it where it was.
    } else {
      port = await programs.freePort(portRange, new Set([...taken, ...avoid]))
    }
    if (port === undefined) {
      throw new Error(`no free port in ${portRange.from}..${portRange.to} on this node`)
    }
    chosen.set(id, port)
    return port
  }

  async function probe({ page, step, asked }: Process): Promise<void> {
    const check = step.at === 'probing' ? startupOf(page.spec) : readinessOf(page.spec)
    post(page.id, { kind: 'probed', asked, ...(await answerOf(page, check)) })
  }

  async function probeLiveness({ page, askedLiveness: asked }: Process): Promise<void> {
    const check = livenessOf(page.spec)
    if (check === undefined) return
    post(page.id, { kind: 'liveness_probed', asked, ...(await answerOf(page, check)) })
  }

  async function answerOf(
    { id, port, program }: InstancePage,
    { way, timeout_ms: timeoutMs }: Pick<WireCheck, 'way' | 'timeout_ms'>,
  ): Promise<ProbeAnswer> {
    if (program === undefined) return { ok: false, words: 'its program does not run' }
    return programs.probe({ id, mark: program, port, way, timeoutMs })
  }

  async function clear({ page: { id, program, port } }: Process): Promise<void> {
    let logTail: string[] = []
    let isPortFree = true
    let shortages: Shortage[] = []
    try {
      if (program !== undefined) programs.signal(id, program, 'SIGKILL')
      await programs.sweep(id)
      shortages = await programs.shortages(id)
      logTail = await programs.logTail(id)
      if (port !== 0) isPortFree = await programs.isPortFree(port)
    } catch (error) {
      log.error({ instance: id, why: messageOf(error) }, 'the remains of a program stay')
    }
    post(id, { kind: 'cleared', isPortFree, logTail, shortages, random: dice.random() })
  }

  async function forget({ page: { id } }: Process): Promise<void> {
    try {
      await programs.forget(id)
      await notebook.removePage(id)
      options.onForgotten(id)
    } catch (error) {
      log.warn({ instance: id, why: messageOf(error) }, 'an ended instance is not forgotten yet')
      post(id, { kind: 'not_forgotten' })
    }
  }

  function signal({ page }: Process, name: NodeJS.Signals): void {
    if (page.program !== undefined) programs.signal(page.id, page.program, name)
  }

  function begun(action: Action, was: Process, is: Process): Promise<void> | undefined {
    switch (action.kind) {
      case 'prepare':
        return prepare(is)
      case 'start': {
        const job = launch(is)
        launching.add(job)
        return job.finally(() => launching.delete(job))
      }
      case 'probe':
        return probe(is)
      case 'probe_liveness':
        return probeLiveness(is)
      case 'clear':
        return clear(is)
      case 'forget':
        return forget(is)
      case 'stop':
      case 'cut_off':
        if (is.step.at === 'stopping') signal(was, is.page.spec.stop.signal)
        return undefined
      case 'kill':
        signal(was, 'SIGKILL')
        return programs.sweep(action.id)
      case 'give_up_start':
      case 'give_up_health':
      case 'restart':
        return undefined
      default:
        return unreachable(action.kind)
    }
  }

  return {
    begin(action, was, is) {
      begun(action, was, is)?.catch(onBug)
    },
    async launched() {
      await Promise.all(launching)
    },
  }
}
