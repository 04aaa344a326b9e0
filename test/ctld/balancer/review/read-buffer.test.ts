// Whose octets lie in a large buffer when several answers of one connection came into it.

import { expect, test } from 'vitest'
import { BULK_SIZE, createBulk } from '#ctld/balancer/data-plane/loop/bulk.ts'
import { READ_SIZE, ReadBuffer } from '#ctld/balancer/data-plane/loop/read-buffer.ts'

function inLarge() {
  const bulk = createBulk()
  const shared = Buffer.alloc(READ_SIZE)
  const buffer = new ReadBuffer(shared, bulk)
  buffer.filled(READ_SIZE, READ_SIZE)
  const large = buffer.next(true) as Buffer
  expect(large.length).toBe(BULK_SIZE)
  return { bulk, shared, buffer, large }
}

test('a slow client keeps its octets although the answer behind its own was taken at once', () => {
  const { bulk, shared, buffer, large } = inLarge()
  buffer.ended(true)
  buffer.ended(false)
  expect(buffer.next(false)).toBe(shared)
  expect(bulk.lend()).not.toBe(large)
})

test('the body behind the answer of a slow client is read into another buffer', () => {
  const { buffer, large } = inLarge()
  buffer.ended(true)
  const next = buffer.next(true)
  expect(next?.length).toBe(BULK_SIZE)
  expect(next).not.toBe(large)
  expect(buffer.next(true)).toBeUndefined()
})

test('a buffer that nobody needs is lent again', () => {
  const { bulk, shared, buffer, large } = inLarge()
  expect(buffer.next(true)).toBeUndefined()
  buffer.ended(false)
  expect(buffer.next(false)).toBe(shared)
  expect(bulk.lend()).toBe(large)
})
