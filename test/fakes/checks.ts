// What the checks of played programs answer, and what they were asked.

import type { Probe, ProbeAnswer } from '#agentd/ports.ts'
import type { Clock } from '#shared/ports.ts'
import type { FakeProgram } from './programs.ts'

export type FakeChecks = {
  /** `hangs`: it takes as long as it may. */
  answer(programs: Iterable<FakeProgram>, probe: Probe): ProbeAnswer & { hangs: boolean }
  /** All its checks fail, or pass again; with `name` those of this path or command (or `tcp`). */
  setHealthy(id: string, isHealthy: boolean, name?: string): void
  /** What was asked of a program, by those names. */
  asked(id: string): string[]
}

export function createFakeChecks({ clock }: { clock: Clock }): FakeChecks {
  const sick = new Set<string>()
  const asked: { id: string; name: string }[] = []

  return {
    answer(programs, { way, port, mark }) {
      const isMeant = (one: FakeProgram) =>
        way.kind === 'command' ? one.mark.pid === mark.pid : one.port === port
      const program = [...programs].find((one) => one.isRunning && isMeant(one))
      if (program === undefined) return no('connection refused')
      if (program.isFrozen) return { ...no('no answer in time'), hangs: true }
      const readyAt = program.startedAt + (program.behaviour.healthyAfterMs ?? 20)
      if (clock.now() < readyAt) return no('connection refused')
      const name = nameOf(way)
      asked.push({ id: program.id, name })
      const ok = !sick.has(program.id) && !sick.has(`${program.id} ${name}`)
      if (way.kind === 'command') {
        return { ok, words: `${name}: exit code ${ok ? 0 : 1}`, hangs: false }
      }
      return { ok, words: ok ? 'HTTP 200' : 'HTTP 503', hangs: false }
    },
    setHealthy(id, isHealthy, name) {
      const key = name === undefined ? id : `${id} ${name}`
      if (isHealthy) sick.delete(key)
      else sick.add(key)
    },
    asked: (id) => asked.flatMap((one) => (one.id === id ? one.name : [])),
  }
}

const no = (words: string) => ({ ok: false, words, hangs: false })

function nameOf(way: Probe['way']): string {
  if (way.kind === 'http') return way.path
  return way.kind === 'tcp' ? 'tcp' : (way.argv[0] ?? '')
}
