import { mkdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createAccessLog } from '#ctld/balancer/data-plane/loop/access-log.io.ts'
import { machineClock } from '#shared/clock.io.ts'
import type { LogFields } from '#shared/ports.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

function world(file = join(temporaryFolder(), 'access.log')) {
  const clock = createManualClock()
  const told: { text: string; fields: LogFields }[] = []
  const note = (fields: LogFields, text: string) => void told.push({ text, fields })
  const log = { debug: note, info: note, warn: note, error: note }
  const accessLog = createAccessLog({ file, clock, log })
  onTestFinished(() => accessLog.close())
  return { ...accessLog, clock, told, file, text: () => readFileSync(file, 'utf8') }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((next) => setImmediate(next))
}

test('lines are written together after half a second', async () => {
  const { append, clock, counters, file, text } = world()
  append('one\n')
  append('two\n')
  clock.advance(499)
  expect(counters().lines).toBe(0)
  clock.advance(1)
  await until(() => counters().lines === 2)
  expect(text()).toBe('one\ntwo\n')
  expect((statSync(file).mode & 0o777).toString(8)).toBe('640')
  expect(clock.timers()).toBe(0)
})

test('lines are written at once when there are 32 KiB of them, those that come meanwhile next', async () => {
  const { append, counters, clock, text } = world()
  const line = `${'x'.repeat(1023)}\n`
  for (let count = 0; count < 32; count += 1) append(line)
  append('next\n')
  await until(() => counters().lines === 32)
  await until(() => clock.timers() === 1)
  clock.advance(500)
  await until(() => counters().lines === 33)
  expect(text()).toBe(`${line.repeat(32)}next\n`)
})

test('what waits is written at the end', async () => {
  const { append, close, text, clock, counters } = world()
  for (let count = 0; count < 40; count += 1) append(`${'x'.repeat(1023)}\n`)
  append('the last\n')
  await close()
  expect(text()).toMatch(/^(x{1023}\n){40}the last\n$/)
  append('too late\n')
  expect(counters()).toEqual({ lines: 41, dropped: 1 })
  expect(clock.timers()).toBe(0)
})

test('several write to one file and no line is torn', async () => {
  const first = world()
  const others = [1, 2, 3].map(() => world(first.file))
  const all = [first, ...others]
  for (let count = 0; count < 2_000; count += 1) {
    for (const [index, one] of all.entries()) one.append(`${String(index).repeat(99)}\n`)
    if (count % 100 === 0) await new Promise((next) => setImmediate(next))
  }
  for (const one of all) await one.close()
  const lines = first.text().trimEnd().split('\n')
  expect(lines).toHaveLength(8_000)
  expect(lines.filter((line) => !/^([0-3])\1{98}$/.test(line))).toEqual([])
})

test('no more than 1 MiB waits; what is dropped is counted, and told once a minute', async () => {
  const { append, counters, clock, told, file } = world()
  const line = `${'x'.repeat(1023)}\n`
  for (let count = 0; count < 1_200; count += 1) append(line)
  // 32 are being written, 1,024 wait.
  expect(counters().dropped).toBe(1_200 - 32 - 1_024)
  append(line)
  clock.advance(59_999)
  expect(told).toEqual([])
  clock.advance(1)
  const text = 'lines of the access log dropped: the disk is too slow'
  expect(told).toEqual([{ text, fields: { file, lines: 145 } }])
  await until(() => counters().lines === 1_056)
  clock.advance(60_000)
  expect(told).toHaveLength(1)
})

test('a file that was moved away is opened anew', async () => {
  const { append, clock, counters, file, text } = world()
  append('before\n')
  clock.advance(500)
  await until(() => counters().lines === 1)
  renameSync(file, `${file}.1`)
  clock.advance(1_000)
  append('after\n')
  clock.advance(500)
  await until(() => counters().lines === 2)
  expect(text()).toBe('after\n')
  expect(readFileSync(`${file}.1`, 'utf8')).toBe('before\n')
})

test('a file that cannot be opened is told once, and written when it can', async () => {
  const folder = join(temporaryFolder(), 'later')
  const { append, clock, counters, told, text } = world(join(folder, 'access.log'))
  for (const count of [1, 2]) {
    append('lost\n')
    clock.advance(1_000)
    await until(() => counters().dropped === count)
  }
  expect(told.map((one) => one.text)).toEqual([
    'access log cannot be written: may the balancer write there?',
  ])
  expect(String(told[0]?.fields.error)).toContain('ENOENT')
  mkdirSync(folder)
  append('kept\n')
  clock.advance(1_000)
  await until(() => counters().lines === 1)
  expect(text()).toBe('kept\n')
  expect(told.at(-1)?.text).toBe('access log is written again')
})

test('a full disk costs the lines and nothing else', async () => {
  const { append, clock, counters, told } = world('/dev/full')
  append('lost\n')
  clock.advance(500)
  await until(() => counters().dropped === 1)
  expect(String(told[0]?.fields.error)).toContain('ENOSPC')
})

test('the clock of the machine will do', async () => {
  const file = join(temporaryFolder(), 'access.log')
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const { append, counters, close } = createAccessLog({ file, clock: machineClock, log: silent })
  append('line\n')
  await until(() => counters().lines === 1)
  await close()
  expect(readFileSync(file, 'utf8')).toBe('line\n')
})
