// Folds into a service's record what becomes of its requests: they wait (paused), are turned away
// (maintenance) or are let through. A pause always ends by itself: who paused may be gone by then.

import type { CommandResult, TrafficCommand } from '#ctld/commands.ts'
import { durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Service, ServiceTraffic } from '#shared/model.ts'
import { PAGES_BYTES_MAX } from '#shared/traffic-control.ts'
import { tellNews, type World } from './world.ts'

/** `service` is not being removed. Throws `conflict` and `limit_reached`. */
export function foldTraffic(
  world: World,
  service: Service,
  command: TrafficCommand,
  now: number,
): CommandResult {
  switch (command.kind) {
    case 'pause': {
      refusePrivate(service, 'pause')
      // A pause that is made longer has begun when it began: early requests wait on.
      const since = service.traffic.state === 'paused' ? service.traffic.since : now
      const traffic = { state: 'paused', since, until: now + command.forMs } as const
      return turn(world, service, traffic, now, { why: `for ${durationText(command.forMs)}` })
    }
    case 'maintenance': {
      refusePrivate(service, 'turn away')
      refusePage(world, service, command.page)
      const page = command.page === undefined ? {} : { page: command.page }
      const since = service.traffic.state === 'maintenance' ? service.traffic.since : now
      const traffic = { state: 'maintenance', since, ...page } as const
      const why = command.page === undefined ? '' : 'with a page of its own'
      return turn(world, service, traffic, now, { why })
    }
    case 'resume':
      if (service.traffic.state === 'open') return { service }
      return turn(world, service, { state: 'open' }, now, { why: 'asked for' })
  }
}

/** Opens what was paused for long enough; answers the wall instant of the next such end. */
export function endPauses(world: World, now: number): number {
  let wakeAt = Infinity
  for (const service of world.tables.services.values()) {
    const { traffic } = service
    if (traffic.state !== 'paused') continue
    if (traffic.until > now) wakeAt = Math.min(wakeAt, traffic.until)
    else turn(world, service, { state: 'open' }, now, { why: 'its pause ran out' })
  }
  return wakeAt
}

const kinds = {
  open: 'service.resumed',
  paused: 'service.paused',
  maintenance: 'service.maintenance',
} as const

function turn(
  world: World,
  was: Service,
  traffic: ServiceTraffic,
  now: number,
  { why }: { why: string },
): CommandResult {
  const service = { ...was, traffic }
  world.tables.services.put(service.name, service)
  tellNews(world, now, kinds[traffic.state], 'traffic changed', {
    service: service.name,
    was: was.traffic.state,
    now: traffic.state,
    why,
  })
  return { service }
}

function refusePrivate({ name, config }: Service, what: string): void {
  if (config.public) return
  throw new TucanoError(
    'conflict',
    `${name} is not public: the balancer has no requests of it to ${what}; ` +
      'set public: true and deploy it, or tucano stop it',
  )
}

function refusePage(world: World, { name, config }: Service, page: string | undefined): void {
  if (page === undefined) return
  if (config.protocol === 'tcp') {
    const text = `${name} speaks tcp: its clients can be shown no page; leave the page out`
    throw new TucanoError('conflict', text)
  }
  let bytes = Buffer.byteLength(page)
  for (const other of world.tables.services.values()) {
    if (other.name === name || other.traffic.state !== 'maintenance') continue
    bytes += Buffer.byteLength(other.traffic.page ?? '')
  }
  if (bytes <= PAGES_BYTES_MAX) return
  throw new TucanoError(
    'limit_reached',
    `the pages of all services in maintenance may have ${PAGES_BYTES_MAX / 1024} KiB together, ` +
      `with this one it were ${Math.ceil(bytes / 1024)} KiB; take a smaller one, or resume a service`,
  )
}
