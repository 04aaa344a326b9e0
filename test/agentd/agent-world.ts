// One worker in a test: a machine, a disk, a controller that records, and an agent on them that
// can be killed, restarted and rebooted. Everything on a virtual clock.

import { type Agentd, createAgentd } from '#agentd/agentd.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Ack, AssignedInstance, Assignment, InstanceStatus, Report } from '#shared/wire.ts'
import { createVirtualClock } from '#test/fakes/clock.ts'
import { createFakeImages } from '#test/fakes/images.ts'
import { createFakeNotebook } from '#test/fakes/notebook.ts'
import { type Behaviour, createFakeMachine, type Start } from '#test/fakes/programs.ts'

export const DIGEST = `sha256:${'a'.repeat(64)}`
export const INTERVAL_MS = 2_000
export const PORT_RANGE = { from: 20_000, to: 20_099 }

type Overrides = Omit<Partial<AssignedInstance>, 'health' | 'stop'> & {
  health?: Partial<AssignedInstance['health']>
  stop?: Partial<AssignedInstance['stop']>
}

export function spec(id: string, overrides: Overrides = {}): AssignedInstance {
  return {
    id,
    service: 'api',
    revision: 1,
    attempt: 1,
    want: 'run',
    image: { digest: DIGEST, build: [], build_timeout_ms: 60_000, run: ['serve'] },
    env: {},
    ...overrides,
    health: {
      path: '/health',
      interval_ms: 1_000,
      timeout_ms: 500,
      fall: 3,
      rise: 2,
      start_timeout_ms: 10_000,
      ...overrides.health,
    },
    stop: { signal: 'SIGTERM', grace_ms: 5_000, ...overrides.stop },
  }
}

export function createAgentWorld(options: { behave?: (start: Start) => Behaviour } = {}) {
  const clock = createVirtualClock()
  const behave = options.behave
  const machine = createFakeMachine(behave === undefined ? { clock } : { clock, behave })
  const notebook = createFakeNotebook({ clock })
  const images = createFakeImages({ clock })
  const reports: { at: number; report: Report }[] = []
  const bugs: unknown[] = []
  const logged: string[] = []
  let answer: (report: Report) => Promise<Ack> = async ({ epoch, generation }) => ({
    epoch,
    generation,
  })
  let sessions = 0
  let dice = 0
  let life = 0
  let agent: Agentd = boot()

  function boot(): Agentd {
    life += 1
    const mine = life
    const log = (_fields: unknown, text: string) => logged.push(text)
    return createAgentd(
      {
        clock: {
          ...clock,
          // A dead agent's timers do not run.
          after: (ms, call) =>
            clock.after(ms, () => {
              if (mine === life) call()
            }),
        },
        ids: { next: () => `session-${++sessions}` },
        dice: {
          random() {
            dice = (dice + 37) % 100
            return dice / 100
          },
        },
        log: { debug() {}, info: log, warn: log, error: log },
        controller: {
          async report(report) {
            reports.push({ at: clock.now(), report })
            return answer(report)
          },
        },
        notebook: notebook.open(),
        programs: machine.open('agent'),
        images,
        vault: notebook.vault,
        sensors: {
          sample: async () => ({
            cpu: 0.5,
            cores: 2,
            load: 1,
            memory_total: 100,
            memory_used: 50,
            disk_total: 100,
            disk_used: 50,
            net_rx_per_s: 0,
            net_tx_per_s: 0,
          }),
        },
      },
      { name: 'w1', version: '0.1.0', publishIntervalMs: INTERVAL_MS, portRange: PORT_RANGE },
      (error) => bugs.push(error),
    )
  }

  const world = {
    clock,
    machine,
    notebook,
    images,
    reports,
    bugs,
    logged,
    agent: () => agent,
    /** Sets what the controller answers from now on. */
    controller(next: typeof answer) {
      answer = next
    },
    async start() {
      const started = agent.start()
      let isDone = false
      void started.then(() => {
        isDone = true
      })
      await clock.until(() => isDone)
      await started
    },
    /** kill -9: nothing of it runs on, its disk keeps what was synced. */
    kill() {
      life += 1
      machine.close('agent')
      notebook.disk.kill()
      images.abandon()
    },
    async restart() {
      agent = boot()
      await world.start()
    },
    reboot() {
      world.kill()
      machine.reboot()
      notebook.vault.lose()
    },
    assign(instances: AssignedInstance[], generation: number, epoch = 1) {
      const assignment: Assignment = { node: 'w1', epoch, generation, instances }
      return agent.obey(assignment)
    },
    status(id: string): InstanceStatus | undefined {
      return agent.status().instances.find((status) => status.id === id)
    },
    phase: (id: string) => world.status(id)?.phase,
    /** What the controller was told of an instance, without repetitions. */
    told(id: string): string[] {
      const phases = reports.map(
        ({ report }) => report.instances.find((status) => status.id === id)?.phase ?? 'absent',
      )
      return phases.filter((phase, index) => phase !== phases[index - 1])
    },
    async untilPhase(id: string, phase: string, limitMs = 600_000) {
      await clock.until(() => world.phase(id) === phase, limitMs)
    },
  }
  return world
}

/** A world in which these instances are started. */
export async function running(...ids: string[]) {
  const world = createAgentWorld()
  await world.start()
  await world.assign(
    ids.map((id) => spec(id)),
    1,
  )
  for (const id of ids) await world.untilPhase(id, 'started')
  return world
}

export function unavailable(): Promise<never> {
  return Promise.reject(new TucanoError('unavailable', 'connection refused'))
}
