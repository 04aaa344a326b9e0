// A network that delays, loses and doubles messages, and can be cut between any two hosts, one
// way or both. A call is a request and an answer; either may be lost, and then it times out.

import { TucanoError } from '#shared/errors.ts'
import type { Clock } from '#shared/ports.ts'
import type { Random } from '#test/helpers/seeds.ts'

export type Weather = {
  /** Share of messages that are lost, and that arrive twice. */
  lossShare: number
  doubleShare: number
  delayMsMax: number
}

export const CALM: Weather = { lossShare: 0, doubleShare: 0, delayMsMax: 3 }

export type Network = {
  weather: Weather
  /** Nothing gets from `from` to `to`. */
  cut(from: string, to: string): void
  heal(): void
  isCut(from: string, to: string): boolean
  call<T>(call: {
    from: string
    to: string
    timeoutMs: number
    /** Runs at the receiver; rejects when nobody is there. */
    handle: () => Promise<T>
  }): Promise<T>
}

export function createNetwork(clock: Clock, random: Random): Network {
  const cuts = new Set<string>()
  const network: Network = {
    weather: CALM,
    cut(from, to) {
      cuts.add(`${from}>${to}`)
    },
    heal() {
      cuts.clear()
    },
    isCut: (from, to) => cuts.has(`${from}>${to}`),
    call({ from, to, timeoutMs, handle }) {
      return new Promise((resolve, reject) => {
        const text = `no answer from ${to} within ${timeoutMs} ms`
        const cancel = clock.after(timeoutMs, () => reject(new TucanoError('timeout', text)))
        const answer = (settle: () => void) =>
          deliver(to, from, () => {
            cancel()
            settle()
          })
        const arrive = () =>
          handle().then(
            (value) => answer(() => resolve(value)),
            (error: unknown) => answer(() => reject(error)),
          )
        deliver(from, to, arrive)
        if (random.chance(network.weather.doubleShare)) deliver(from, to, arrive)
      })
    },
  }

  function deliver(from: string, to: string, arrive: () => void): void {
    if (random.chance(network.weather.lossShare)) return
    const delayMs = random.random() * network.weather.delayMsMax
    clock.after(delayMs, () => {
      if (!network.isCut(from, to)) arrive()
    })
  }

  return network
}
