// Front door of the runner (M26): holds every instance of this node, folds what happens to them,
// and lets converge decide. It owns the pages in the notebook: a page is written when it changes.

import type { AgentdPorts, InstancePage, ProgramMark } from '#agentd/ports.ts'
import type { Secrets } from '#agentd/secrets/secrets.ts'
import { assert } from '#shared/assert.ts'
import { messageOf } from '#shared/errors.ts'
import type { AssignedInstance } from '#shared/wire.ts'
import { type Contact, converge } from './converge.ts'
import { createJobs, type PortRange } from './jobs.ts'
import {
  adopted,
  lostByReboot,
  newProcess,
  next,
  type Process,
  type ProcessEvent,
  phaseOf,
  restored,
} from './process.ts'

/** An instance goes through fewer decisions than this in one instant. */
const ROUNDS_MAX = 20
const SAVE_AGAIN_MS = 5_000

export type Runner = {
  /** Takes up what a former run of the agent left: adopts, or notes its end, or sweeps it. */
  restore(pages: readonly InstancePage[]): Promise<void>
  /** The whole of what shall run. */
  assign(instances: readonly AssignedInstance[]): void
  /** Folds the news and acts on them; the instant at which it wants to do so again. */
  step(): number
  processes(): ReadonlyMap<string, Process>
  /** Ends all programs; resolves when nothing runs. Orders are not obeyed from now on. */
  stopAll(): Promise<void>
  /** Leaves the programs running; resolves when all that is known of them is on disk. */
  close(): Promise<void>
}

export function createRunner(
  ports: AgentdPorts & { secrets: Secrets },
  options: {
    portRange: PortRange
    /** There is something to fold: `step` has to run. */
    onNews: () => void
    /** What is reported of an instance changed. */
    onChange: () => void
    contact: () => Contact
    onBug: (error: unknown) => void
  },
): Runner {
  const { clock, log, notebook, programs, images } = ports
  const inbox: { id: string; event: ProcessEvent }[] = []
  const processes = new Map<string, Process>()
  const saving = new Set<Promise<void>>()
  const unsaved = new Set<string>()
  let assigned: ReadonlyMap<string, AssignedInstance> = new Map()
  let saveAgainAt = Number.POSITIVE_INFINITY
  let retained: string | undefined
  let retaining: Promise<void> | undefined
  let onAllEnded: (() => void) | undefined

  const jobs = createJobs(ports, {
    portRange: options.portRange,
    takenPorts: (exceptId) => takenPorts(processes, exceptId),
    post,
    onForgotten(id) {
      processes.delete(id)
      unsaved.delete(id)
      const spec = assigned.get(id)
      if (spec !== undefined) put(newProcess(spec), undefined, 'assigned again')
      options.onChange()
      options.onNews()
    },
    onBug: options.onBug,
  })
  programs.onEnd((id, mark, end) => post(id, { kind: 'exited', mark, end }))

  function post(id: string, event: ProcessEvent): void {
    inbox.push({ id, event })
    options.onNews()
  }

  function fold(id: string, event: ProcessEvent, why: string): void {
    const was = processes.get(id)
    if (was === undefined) {
      log.debug({ instance: id, event: event.kind }, 'event of an unknown instance ignored')
      return
    }
    const is = next(was, event, clock.now())
    if (is === was) log.debug({ instance: id, event: event.kind, in: was.step.at }, 'event ignored')
    else put(is, was, why)
  }

  function put(is: Process, was: Process | undefined, why: string): void {
    const { id, spec } = is.page
    processes.set(id, is)
    if (was !== undefined && was.page !== is.page) save(is.page)
    const [before, now] = [was && phaseOf(was), phaseOf(is)]
    if (before === now && was?.page.port === is.page.port) return
    options.onChange()
    if (before === now) return
    const known = is.page.failure?.error ?? why
    const fields = { instance: id, service: spec.service, was: before, now, why: known }
    log.info(is.page.port === 0 ? fields : { ...fields, port: is.page.port }, 'instance changed')
  }

  function save(page: InstancePage): void {
    const work = notebook.savePage(page).then(
      () => {
        unsaved.delete(page.id)
      },
      (error: unknown) => {
        if (unsaved.size === 0) log.error({ why: messageOf(error) }, 'pages cannot be saved')
        unsaved.add(page.id)
        saveAgainAt = Math.min(saveAgainAt, clock.now() + SAVE_AGAIN_MS)
        options.onNews()
      },
    )
    saving.add(work)
    void work.finally(() => saving.delete(work))
  }

  function saveAgain(): void {
    if (clock.now() < saveAgainAt) return
    saveAgainAt = Number.POSITIVE_INFINITY
    for (const id of [...unsaved].sort()) {
      const process = processes.get(id)
      if (process !== undefined) save(process.page)
    }
  }

  function act(): number {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const { actions, wakeAt } = converge(assigned, processes, {
        now: clock.now(),
        contact: options.contact(),
      })
      if (actions.length === 0) return wakeAt
      for (const action of actions) {
        const was = processes.get(action.id) as Process
        const is = next(was, { kind: action.kind }, clock.now())
        assert(is !== was, `${action.kind} means something to ${was.step.at}`)
        put(is, was, action.why)
        jobs.begin(action, was, is)
      }
    }
    throw new Error(`still deciding after ${ROUNDS_MAX} rounds`)
  }

  function retain(): void {
    if (retaining !== undefined) return
    const digests = usedDigests(processes)
    const key = digests.join()
    if (key === retained) return
    retained = key
    retaining = images
      .retain(new Set(digests))
      .catch((error: unknown) => {
        log.warn({ why: messageOf(error) }, 'old builds are not deleted yet')
      })
      .finally(() => {
        retaining = undefined
        options.onNews()
      })
  }

  async function restore(page: InstancePage, hasStrays: boolean): Promise<void> {
    const { id, program } = page
    if (page.ended !== undefined || program === undefined) {
      if (hasStrays) await programs.sweep(id)
      put(restored(page), undefined, 'known from a former run of the agent')
    } else if (program.boot !== programs.boot()) {
      put(lostByReboot(restored(page)), restored(page), 'the machine was restarted')
    } else if (await programs.adopt(id, program)) {
      put(adopted(restored(page), clock.now()), undefined, 'adopted: it runs')
    } else {
      put(adopted(restored(page), clock.now()), undefined, 'it ended while no agent ran')
      post(id, { kind: 'exited', mark: program, end: await programs.endOf(id, program) })
    }
  }

  function foldNews(): void {
    for (const { id, event } of inbox.splice(0)) fold(id, event, factWords(event))
  }

  return {
    async restore(pages) {
      const strays = new Set(await programs.strays())
      for (const page of pages.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
        await restore(page, strays.delete(page.id))
      }
      for (const id of [...strays].sort()) {
        log.warn({ instance: id }, 'killed what runs with our mark but is not known')
        await programs.sweep(id)
        await programs.forget(id)
      }
      foldNews()
    },
    assign(instances) {
      if (onAllEnded !== undefined) return
      assigned = new Map(instances.map((spec) => [spec.id, spec]))
      for (const spec of instances) {
        const was = processes.get(spec.id)
        if (was === undefined) put(newProcess(spec), undefined, 'assigned')
        else put(next(was, { kind: 'spec', spec }, clock.now()), was, 'assigned anew')
      }
    },
    step() {
      foldNews()
      saveAgain()
      const wakeAt = act()
      retain()
      if (onAllEnded !== undefined && [...processes.values()].every(isOver)) onAllEnded()
      return Math.min(wakeAt, saveAgainAt)
    },
    processes: () => processes,
    stopAll() {
      const specs = [...processes.values()].map(({ page }) => page.spec)
      assigned = new Map(specs.map((spec) => [spec.id, { ...spec, want: 'stop' }]))
      return new Promise((resolve) => {
        onAllEnded = resolve
        options.onNews()
      })
    },
    async close() {
      await jobs.launched()
      foldNews()
      await Promise.all(saving)
    },
  }
}

/** The program of an instance, while it may run. */
export function programOf({ page, step }: Process): ProgramMark | undefined {
  return step.at === 'ended' || step.at === 'forgetting' ? undefined : page.program
}

function isOver({ step }: Process): boolean {
  return step.at === 'ended' || step.at === 'forgetting'
}

function takenPorts(processes: ReadonlyMap<string, Process>, exceptId: string): Set<number> {
  const others = [...processes.values()].filter(
    (process) => process.page.id !== exceptId && !isOver(process) && process.page.port !== 0,
  )
  return new Set(others.map(({ page }) => page.port))
}

function usedDigests(processes: ReadonlyMap<string, Process>): string[] {
  const used = [...processes.values()].filter((process) => !isOver(process))
  return [...new Set(used.map(({ page }) => page.spec.image.digest))].sort()
}

function factWords(event: ProcessEvent): string {
  switch (event.kind) {
    case 'probed':
      return event.words
    case 'prepared':
      return 'its image is ready'
    case 'cleared':
      return 'what was left of it is gone'
    default:
      return event.kind.replaceAll('_', ' ')
  }
}
