// A worker's machine in the simulator: starts the real agent on edges that can fail, ends it as a
// kill or a power cut does, and is the door through which orders reach it.

import { createAgentd } from '#agentd/agentd.ts'
import { reportTimeoutMs } from '#agentd/controller-client.io.ts'
import type { Assignment, OrderAnswer } from '#shared/wire.ts'
import { CONTROLLER, idsOf, imagesOf, logOf, refused } from './edges.ts'
import { beginLife } from './life.ts'
import type { AgentHost, Sabotage, SimWorld } from './world.ts'

const INTERVAL_MS = 2_000

export function hostOf(world: SimWorld, name: string): AgentHost {
  const host = world.agents.get(name)
  if (host === undefined) throw new Error(`no host ${name}`)
  return host
}

export function startAgent(world: SimWorld, host: AgentHost, sabotage: Sabotage | undefined): void {
  const { clock, random, network } = world
  if (host.life !== undefined) return
  const life = beginLife(clock)
  host.life = life
  world.note(`agent ${host.name} starts`)
  const programs = host.machine.open(host.name)
  const notebook = host.notebook.open()
  const agentd = createAgentd(
    {
      clock: life.clock,
      ids: idsOf(clock, `${host.name}-${random.int(0, 1e9)}`),
      dice: random,
      log: logOf(host.name, world.note),
      controller: {
        report: (report) =>
          life.guard(
            network.call({
              from: host.name,
              to: CONTROLLER,
              timeoutMs: reportTimeoutMs(INTERVAL_MS),
              handle: async () => {
                const { ctld, life: other } = world.controller
                if (ctld === undefined || other === undefined) throw refused(CONTROLLER)
                await other.guard(Promise.resolve())
                return structuredClone(await other.guard(ctld.report(structuredClone(report))))
              },
            }),
          ),
      },
      notebook: {
        load: () => life.guard(notebook.load()),
        saveAssignment: (assignment) => life.guard(notebook.saveAssignment(assignment)),
        savePage: (page) =>
          sabotage === 'forgets its programs' && page.program !== undefined
            ? Promise.resolve()
            : life.guard(notebook.savePage(page)),
        removePage: (id) => life.guard(notebook.removePage(id)),
      },
      programs: {
        ...programs,
        ...(sabotage === 'does not signal programs'
          ? { signal: () => {}, sweep: async () => {} }
          : {}),
        ...(sabotage === 'forgets its programs' ? { strays: async () => [] } : {}),
      },
      images: imagesOf(life, random, () => world.brokenImageShare),
      vault: host.notebook.vault,
      sensors: { sample: async () => host.metrics },
    },
    {
      name: host.name,
      version: '1',
      publishIntervalMs: INTERVAL_MS,
      portRange: { from: 20_000, to: 20_200 },
    },
    (error) => {
      if (!life.isOver()) world.bugs.push(error)
    },
  )
  agentd.start().then(
    () => {
      if (!life.isOver()) host.agentd = agentd
    },
    (error: unknown) => {
      if (!life.isOver()) world.bugs.push(error)
    },
  )
}

export function killAgent(world: SimWorld, host: AgentHost, how: 'kill' | 'power'): void {
  world.note(how === 'kill' ? `kill -9 of agent ${host.name}` : `power cut of ${host.name}`)
  host.life?.end()
  host.life = undefined
  host.agentd = undefined
  host.machine.close(host.name)
  if (how === 'kill') host.notebook.disk.kill()
  else {
    host.notebook.disk.crash(() => world.random.random())
    host.notebook.vault.lose()
    host.machine.reboot()
  }
}

/** The agent's door for orders; what it obeys is written down, for I8. */
export async function obey(
  world: SimWorld,
  host: AgentHost,
  assignment: Assignment,
  sabotage: Sabotage | undefined,
): Promise<OrderAnswer> {
  const { life, agentd } = host
  if (life === undefined || agentd === undefined) throw refused(host.name)
  await life.guard(Promise.resolve())
  const { epoch, generation } = assignment
  const isOlder =
    epoch < host.obeyed.epoch ||
    (epoch === host.obeyed.epoch && generation < host.obeyed.generation)
  const given =
    sabotage === 'obeys older orders' && isOlder
      ? { ...assignment, epoch: host.obeyed.epoch, generation: host.obeyed.generation + 1 }
      : assignment
  const answer = await life.guard(agentd.obey(given))
  if (answer.accepted) {
    if (isOlder) {
      world.violations.push(
        `I8: ${host.name} obeyed ${epoch}/${generation} after ` +
          `${host.obeyed.epoch}/${host.obeyed.generation}`,
      )
    }
    host.obeyed = { epoch, generation }
  }
  return answer
}
