// The life of one client's connection to a service that speaks TCP: an instance is chosen and
// connected, the next one when that fails, then the two connections are one. Nothing of the client
// is read before, so nothing is lost by another try and the program may be the first to speak.

import { connect, type Socket } from 'node:net'
import type { Route } from '#ctld/ports.ts'
import type { Cancel, Clock } from '#shared/ports.ts'
import { type JointEnd, joinSockets } from './pipe.io.ts'
import { proxyHeader } from './proxy-protocol.ts'
import { reset } from './way.io.ts'

export const TRIES_MAX = 16

export type TcpUpstream = {
  readonly instance: string
  readonly target: { readonly host: string; readonly port: number }
}

export type TcpRoute = Pick<
  Route,
  | 'service'
  | 'traffic'
  | 'pauseMs'
  | 'queueMs'
  | 'holdMs'
  | 'connectMs'
  | 'idleMs'
  | 'proxyProtocol'
  | 'targets'
>

export type TcpPorts<U extends TcpUpstream> = {
  clock: Clock
  /** As it is now; undefined: the service has none any more. */
  route(): TcpRoute | undefined
  /** Chooses one that was not tried and counts the session; undefined: none is there or free. */
  claim(tried: ReadonlySet<U>): U | undefined
  release(upstream: U): void
  succeeded(upstream: U): void
  unreachable(upstream: U, error: string): void
  /**
   * Calls `wake` once, later, when another `claim` may have a better answer: the table changed, a
   * place became free. undefined: too many wait already. The session keeps the time itself.
   */
  wait(wake: () => void): Cancel | undefined
  done(ending: TcpEnding): void
}

export type TcpEnding = {
  service: string
  /** The last that was chosen. */
  instance?: string
  endedBy: JointEnd['endedBy']
  phase: 'queue' | 'connect' | 'tunnel'
  how: JointEnd['how']
  queueMs: number
  /** Of the connection that was had; 0 without one. */
  connectMs: number
  totalMs: number
  bytesIn: number
  bytesOut: number
  retries: number
  error?: string
}

/** `client` is accepted with `pauseOnConnect` and `allowHalfOpen`. `done` is called once. */
export function serveTcp<U extends TcpUpstream>(client: Socket, ports: TcpPorts<U>) {
  const session = new TcpSession(client, ports)
  session.start()
  return { cut: () => session.cut() }
}

type Reason = 'paused' | 'full' | 'none'

const REFUSALS: Record<Exclude<Reason, 'paused'>, string> = {
  full: 'every instance has as many sessions as it may',
  none: 'no instance could be had',
}

class TcpSession<U extends TcpUpstream> {
  readonly #client: Socket
  readonly #ports: TcpPorts<U>
  readonly #startedAt: number
  readonly #tried = new Set<U>()
  readonly #waitedMs: Record<Reason, number> = { paused: 0, full: 0, none: 0 }
  #route: TcpRoute | undefined
  #tries = 0
  #instance: string | undefined
  #phase: TcpEnding['phase'] = 'queue'
  #connectMs = 0
  /** Ends what is under way: a wait, a connection that is being made, the joint. */
  #giveUp: (() => void) | undefined
  #lastError: string | undefined
  #isDone = false
  /** It waited for as long as was declared, and whoever would end the pause may be dead. */
  #isPauseOver = false

  constructor(client: Socket, ports: TcpPorts<U>) {
    this.#client = client
    this.#ports = ports
    this.#startedAt = ports.clock.now()
  }

  start(): void {
    const client = this.#client
    client.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#phase !== 'tunnel') this.#end('client', 'error', error.code ?? error.message)
    })
    client.once('close', () => {
      if (this.#phase !== 'tunnel') this.#end('balancer', 'cut')
    })
    if (client.destroyed) this.#end('balancer', 'cut')
    else this.#advance()
  }

  cut(): void {
    if (this.#phase === 'tunnel') this.#giveUp?.()
    else this.#end('balancer', 'cut')
  }

  #advance(): void {
    const route = this.#ports.route()
    this.#route = route ?? this.#route
    if (route === undefined) this.#refuse('the service has no route any more')
    else if (route.traffic === 'maintenance') this.#refuse('the service is in maintenance')
    else if (route.traffic === 'paused' && !this.#isPauseOver) this.#wait('paused', route.pauseMs)
    else if (this.#tries >= TRIES_MAX) this.#refuse(REFUSALS.none)
    else this.#claim(route)
  }

  #claim(route: TcpRoute): void {
    const upstream = this.#ports.claim(this.#tried)
    const isFull = route.targets.length > this.#tried.size
    if (upstream !== undefined) this.#connect(upstream, route)
    else if (isFull) this.#wait('full', route.queueMs)
    else this.#wait('none', route.holdMs)
  }

  #wait(reason: Reason, limitMs: number): void {
    const { clock, wait } = this.#ports
    this.#phase = 'queue'
    const leftMs = limitMs - this.#waitedMs[reason]
    if (leftMs <= 0) {
      this.#inVain(reason)
      return
    }
    const since = clock.now()
    const over = () => {
      stopWaiting?.()
      stopTimer()
      this.#giveUp = undefined
      this.#waitedMs[reason] += clock.now() - since
    }
    const stopTimer = clock.after(leftMs, () => {
      over()
      this.#inVain(reason)
    })
    const stopWaiting = wait(() => {
      over()
      // Who refused before may be another program by now.
      this.#tried.clear()
      this.#advance()
    })
    this.#giveUp = over
    if (stopWaiting !== undefined) return
    over()
    this.#refuse('too many sessions wait')
  }

  #inVain(reason: Reason): void {
    if (reason !== 'paused') {
      this.#refuse(REFUSALS[reason])
      return
    }
    this.#isPauseOver = true
    this.#advance()
  }

  #connect(upstream: U, route: TcpRoute): void {
    const { clock, release, succeeded, unreachable } = this.#ports
    const { host, port } = upstream.target
    this.#phase = 'connect'
    this.#instance = upstream.instance
    this.#tries += 1
    this.#tried.add(upstream)
    const since = clock.now()
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
    const stopTimer = clock.after(route.connectMs, () => {
      socket.destroy(new Error(`no connection within ${route.connectMs} ms`))
    })
    const failed = (error: NodeJS.ErrnoException) => {
      this.#giveUp = undefined
      stopTimer()
      this.#lastError = error.code ?? error.message
      unreachable(upstream, error.message || this.#lastError)
      release(upstream)
      this.#advance()
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      stopTimer()
      socket.off('error', failed)
      this.#connectMs = clock.now() - since
      succeeded(upstream)
      this.#join(socket, upstream, route)
    })
    this.#giveUp = () => {
      stopTimer()
      socket.off('error', failed)
      socket.on('error', () => {
        // Nobody waits for it any more.
      })
      socket.destroy()
      release(upstream)
    }
  }

  #join(upstreamSocket: Socket, upstream: U, route: TcpRoute): void {
    const client = this.#client
    this.#phase = 'tunnel'
    if (route.proxyProtocol !== 'none') {
      const header = proxyHeader(route.proxyProtocol, {
        sourceHost: client.remoteAddress,
        sourcePort: client.remotePort,
        destinationHost: client.localAddress,
        destinationPort: client.localPort,
      })
      upstreamSocket.write(header)
    }
    const { cut } = joinSockets({
      client,
      upstream: upstreamSocket,
      idleMs: route.idleMs,
      clock: this.#ports.clock,
      onEnd: ({ endedBy, how, error, bytesIn, bytesOut }) => {
        this.#ports.release(upstream)
        this.#tell({ endedBy, how, bytesIn, bytesOut }, error)
      },
    })
    this.#giveUp = cut
  }

  #refuse(error: string): void {
    const last = this.#lastError
    this.#end('balancer', 'error', last === undefined ? error : `${error} (${last})`)
  }

  #end(endedBy: TcpEnding['endedBy'], how: TcpEnding['how'], error?: string): void {
    if (this.#isDone) return
    this.#giveUp?.()
    this.#giveUp = undefined
    this.#tell({ endedBy, how, bytesIn: 0, bytesOut: 0 }, error)
    reset(this.#client)
  }

  #tell(
    end: Pick<TcpEnding, 'endedBy' | 'how' | 'bytesIn' | 'bytesOut'>,
    error: string | undefined,
  ): void {
    if (this.#isDone) return
    this.#isDone = true
    const { paused, full, none } = this.#waitedMs
    this.#ports.done({
      service: this.#route?.service ?? '',
      ...(this.#instance !== undefined && { instance: this.#instance }),
      ...end,
      phase: this.#phase,
      queueMs: paused + full + none,
      connectMs: this.#connectMs,
      totalMs: this.#ports.clock.now() - this.#startedAt,
      retries: Math.max(0, this.#tries - 1),
      ...(error !== undefined && { error }),
    })
  }
}
