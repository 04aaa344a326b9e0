import { describe, expect, test } from 'vitest'
import { createWaiting, type Ticket } from '#ctld/balancer/data-plane/choose/queue.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

describe('the queue', () => {
  test('serves first who came first', () => {
    const waiting = createWaiting<string>(3)
    for (const item of ['a', 'b', 'c']) waiting.push(item, 10)
    expect([waiting.shift(), waiting.shift(), waiting.shift(), waiting.shift()]).toEqual([
      'a',
      'b',
      'c',
      undefined,
    ])
  })

  test('takes no more than its limit, and again when one has left', () => {
    const waiting = createWaiting<string>(2)
    const first = waiting.push('a', 1)
    waiting.push('b', 1)
    expect(waiting.push('c', 1)).toBeUndefined()
    expect(waiting.size).toBe(2)
    expect(first !== undefined && waiting.remove(first)).toBe(true)
    expect(waiting.push('d', 1)).toBeDefined()
    expect([waiting.shift(), waiting.shift()]).toEqual(['b', 'd'])
  })

  test('with no room at all refuses everybody', () => {
    const waiting = createWaiting<string>(0)
    expect(waiting.push('a', 1)).toBeUndefined()
    expect(waiting.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test('knows the next deadline, and lets go whose time is over', () => {
    const waiting = createWaiting<string>(9)
    waiting.push('a', 10)
    waiting.push('b', 20)
    waiting.push('c', 30)
    expect(waiting.nextDeadline()).toBe(10)
    expect(waiting.expire(9)).toEqual([])
    expect(waiting.expire(20)).toEqual(['a', 'b'])
    expect([waiting.nextDeadline(), waiting.size]).toEqual([30, 1])
  })

  test('whoever was too late with its turn is the first again, even when it is full', () => {
    const waiting = createWaiting<string>(2)
    waiting.push('a', 1)
    waiting.push('b', 2)
    const first = waiting.shift() as string
    waiting.push('c', 3)
    const ticket = waiting.putBack(first, 1)
    expect([waiting.size, waiting.nextDeadline()]).toEqual([3, 1])
    expect(waiting.push('d', 4)).toBeUndefined()
    expect([waiting.shift(), waiting.shift(), waiting.shift()]).toEqual(['a', 'b', 'c'])
    expect(waiting.remove(ticket)).toBe(false)
    waiting.putBack('e', 5)
    expect(waiting.expire(5)).toEqual(['e'])
  })

  test('a new limit is for those who come', () => {
    const waiting = createWaiting<string>(2)
    waiting.push('a', 1)
    waiting.push('b', 1)
    waiting.resize(1)
    expect(waiting.size).toBe(2)
    waiting.shift()
    expect(waiting.push('c', 1)).toBeUndefined()
    waiting.resize(2)
    expect(waiting.push('c', 1)).toBeDefined()
  })

  test('nobody leaves twice', () => {
    const waiting = createWaiting<string>(9)
    const tickets = ['a', 'b', 'c'].map((item) => waiting.push(item, 5) as Ticket<string>)
    const [a, b, c] = tickets as [Ticket<string>, Ticket<string>, Ticket<string>]
    expect(waiting.shift()).toBe('a')
    expect([waiting.remove(a), waiting.remove(b), waiting.remove(b)]).toEqual([false, true, false])
    expect(waiting.expire(5)).toEqual(['c'])
    expect([waiting.remove(c), waiting.size]).toEqual([false, 0])
  })

  test(
    'does whatever a plain list would do',
    forEachSeed(100, (random) => {
      const max = random.int(0, 12)
      const waiting = createWaiting<number>(max)
      let list: Ticket<number>[] = []
      const tickets: Ticket<number>[] = []
      const waitMs = random.int(1, 50)
      let now = 0
      for (let step = 0; step < 200; step += 1) {
        now += random.int(0, 10)
        const act = random.pick(['push', 'push', 'shift', 'remove', 'expire', 'back'])
        if (act === 'push') {
          const ticket = waiting.push(step, now + waitMs)
          expect(ticket !== undefined).toBe(list.length < max)
          if (ticket !== undefined) {
            tickets.push(ticket)
            list.push(ticket)
          }
        } else if (act === 'back' && list.length > 0) {
          const { item, deadline } = list.shift() as Ticket<number>
          expect(waiting.shift()).toBe(item)
          const ticket = waiting.putBack(item, deadline)
          tickets.push(ticket)
          list.unshift(ticket)
        } else if (act === 'shift') {
          expect(waiting.shift()).toBe(list.shift()?.item)
        } else if (act === 'remove' && tickets.length > 0) {
          const ticket = random.pick(tickets)
          expect(waiting.remove(ticket)).toBe(list.includes(ticket))
          list = list.filter((other) => other !== ticket)
        } else {
          const over = list.filter(({ deadline }) => deadline <= now)
          expect(waiting.expire(now)).toEqual(over.map(({ item }) => item))
          list = list.filter(({ deadline }) => deadline > now)
        }
        expect(waiting.size).toBe(list.length)
        expect(waiting.nextDeadline()).toBe(list[0]?.deadline ?? Number.POSITIVE_INFINITY)
      }
    }),
  )
})
