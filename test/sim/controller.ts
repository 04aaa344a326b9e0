// The controller's machine in the simulator: starts the real controller on edges that can fail, and
// ends it as a kill or a power cut does.

import { createCtld } from '#ctld/ctld.ts'
import type { Boot } from '#ctld/ports.ts'
import { parseTopology } from '#shared/topology.ts'
import { hostOf, obey } from './agent.ts'
import { connectDataPlane } from './data-plane.ts'
import { CONTROLLER, idsOf, logOf, refused } from './edges.ts'
import { beginLife } from './life.ts'
import type { Sabotage, SimWorld } from './world.ts'

export function startController(world: SimWorld, sabotage: Sabotage | undefined): void {
  const { controller, clock, random, network } = world
  if (controller.life !== undefined) return
  const life = beginLife(clock)
  controller.life = life
  controller.starts += 1
  world.note(`controller starts (${controller.starts})`)
  const store = controller.storage.open()
  const agents = (machine: string) => hostOf(world, machine)
  const ctld = createCtld(
    {
      clock: life.clock,
      ids: idsOf(clock, `c${controller.starts}`),
      dice: random,
      log: logOf(CONTROLLER, world.note),
      store: {
        load: () => life.guard(store.load()),
        commit: (changes) => {
          controller.committing = life
          const ended = () => {
            if (controller.committing === life) controller.committing = undefined
          }
          const done = store.commit(changes)
          if (sabotage !== 'acknowledges before it is on disk') {
            return life.guard(done).finally(ended)
          }
          ended()
          done.catch(() => {}) // The lie that is planted: nobody hears of it.
          return Promise.resolve()
        },
        events: (after, limit) => life.guard(store.events(after, limit)),
        close: () => store.close(),
      },
      agents: {
        order: (machine, assignment) =>
          life.guard(
            network.call({
              from: CONTROLLER,
              to: machine.name,
              timeoutMs: 5_000,
              handle: () =>
                obey(world, agents(machine.name), structuredClone(assignment), sabotage),
            }),
          ),
        probe: (machine, timeoutMs) =>
          life.guard(
            network.call({
              from: CONTROLLER,
              to: machine.name,
              timeoutMs,
              handle: async () => {
                const host = agents(machine.name)
                if (host.life === undefined) throw refused(machine.name)
                await host.life.guard(Promise.resolve())
              },
            }),
          ),
      },
      machines: { restart: (command) => life.guard(world.restart(command)) },
      secrets: controller.storage.secrets,
      dataPlane: connectDataPlane(world, life, sabotage),
      mailer: {
        async send(mail) {
          await life.guard(new Promise<void>((resolve) => life.clock.after(20, resolve)))
          world.mails.push({ at: clock.now(), subject: mail.subject, text: mail.text })
        },
      },
    },
    bootOf(world),
  )
  ctld.start().then(
    () => {
      if (!life.isOver()) controller.ctld = ctld
    },
    (error: unknown) => {
      if (!life.isOver()) world.bugs.push(error)
    },
  )
}

function bootOf(world: SimWorld): Boot {
  const parse = (text: string) => parseTopology(text, 'topology.yaml')
  return {
    text: world.text,
    config: world.config,
    parse: async (text) => parse(text),
    write: async (text) => {
      Object.assign(world, { text, config: parse(text) })
    },
    applied: () => {},
    onBug: (error) => world.bugs.push(error),
  }
}

export function killController(world: SimWorld, how: 'kill' | 'power'): void {
  const { controller, random } = world
  if (controller.life === undefined) return
  world.note(how === 'kill' ? 'kill -9 of the controller' : 'power cut of the controller')
  controller.life.end()
  controller.life = undefined
  controller.ctld = undefined
  if (how === 'kill') {
    controller.storage.kill()
    return
  }
  controller.storage.crash(() => random.random())
  // The data plane is on the same machine; its table is on disk, its requests are gone.
  world.controller.dataPlane.draining.clear()
}
