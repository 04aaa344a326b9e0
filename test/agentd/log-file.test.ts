import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  dropLogs,
  follow,
  logPath,
  openLogFiles,
  rotateIfNeeded,
  tail,
} from '#agentd/runner/log-file.io.ts'
import { cleanLine } from '#agentd/runner/log-lines.ts'
import { LOG_LINE_MAX } from '#shared/wire.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const lines = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => `line ${from + n}`)
const text = (from: number, to: number) => `${lines(from, to).join('\n')}\n`
const small = { bytesMax: 1_000, filesMax: 3 }

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return [] // The one that read the folder.
    }
  })
}

function newLog(content = ''): string {
  const path = logPath(temporaryFolder())
  writeFileSync(path, content)
  return path
}

describe('the tail', () => {
  test('is the last lines, oldest first', async () => {
    const path = newLog(text(1, 30_000))
    expect(await tail(path, 3)).toEqual(lines(29_998, 30_000))
    expect(await tail(path, 20_000)).toEqual(lines(10_001, 30_000))
  })

  test('includes a last line without its end', async () => {
    expect(await tail(newLog('a\nb'), 5)).toEqual(['a', 'b'])
  })

  test('goes on in the rotated file', async () => {
    const path = newLog(text(1, 200))
    await rotateIfNeeded(path, { bytesMax: 1_800, filesMax: 3 })
    appendFileSync(path, text(201, 202))
    expect(await tail(path, 4)).toEqual(lines(199, 202))
  })

  test('is empty when there is no output', async () => {
    expect(await tail(join(temporaryFolder(), 'none'), 5)).toEqual([])
    expect(await tail(newLog(), 5)).toEqual([])
  })

  test('reads a bounded part of a file of one endless line', async () => {
    const [line] = await tail(newLog('x'.repeat(5_000_000)), 20)
    expect(line).toBe('x'.repeat(LOG_LINE_MAX))
  })
})

test('a shown line has no control characters and no terminal sequences', () => {
  expect(cleanLine('\u001b[31mred\u001b[0m\tand\u0000 \u001b]0;title\u0007plain\r')).toBe(
    'red\tand plain',
  )
  expect(cleanLine('ação 日本 🎉')).toBe('ação 日本 🎉')
  expect(cleanLine(`\u001b[${'9'.repeat(100_000)}`)).toBe('')
  expect(cleanLine('\u001b')).toBe('')
})

describe('rotation', () => {
  test('leaves a small file alone', async () => {
    const path = newLog('little')
    expect(await rotateIfNeeded(path, small)).toBe(false)
    expect(await rotateIfNeeded(`${path}.missing`, small)).toBe(false)
  })

  test('keeps as many files as allowed, the newest', async () => {
    const path = newLog()
    for (let round = 1; round <= 4; round += 1) {
      appendFileSync(path, `round ${round}\n`.repeat(150))
      expect(await rotateIfNeeded(path, small)).toBe(true)
    }
    expect(statSync(path).size).toBe(0)
    expect(readFileSync(`${path}.1`, 'utf8')).toContain('round 4')
    expect(readFileSync(`${path}.2`, 'utf8')).toContain('round 3')
    expect(existsSync(`${path}.3`)).toBe(false)
  })

  test('of a flood keeps its end and says what was dropped', async () => {
    const path = newLog(text(1, 100_000))
    await rotateIfNeeded(path, small)
    const kept = readFileSync(`${path}.1`, 'utf8')
    expect(kept).toMatch(/^\[\.\.\. dropped \d+ bytes\]\n/)
    expect(kept.endsWith('line 100000\n')).toBe(true)
    expect(kept.length).toBeLessThan(1_100)
  })

  test('goes unnoticed by the program that writes', async () => {
    const { path, handle } = await openLogFiles(temporaryFolder())
    const program = spawn('sh', ['-c', 'while read line; do echo "$line"; echo err >&2; done'], {
      stdio: ['pipe', handle.fd, handle.fd],
    })
    await handle.close()
    onTestFinished(() => void program.kill('SIGKILL'))
    const shown = follow(path, 10, AbortSignal.timeout(10_000))
    program.stdin?.write(`${'a'.repeat(1_500)}\n`)
    expect((await shown.next()).value).toHaveLength(1_500)
    expect((await shown.next()).value).toBe('err')
    await rotateIfNeeded(path, small)
    program.stdin?.end('after\n')
    await once(program, 'exit')
    await shown.return()
    expect(readFileSync(path, 'utf8')).toBe('after\nerr\n')
  })
})

describe('following', () => {
  const start = (path: string, count: number) => {
    const stop = new AbortController()
    onTestFinished(() => stop.abort())
    return { stop, shown: follow(path, count, stop.signal) }
  }
  const take = async (shown: AsyncGenerator<string>, count: number) => {
    const taken: unknown[] = []
    while (taken.length < count) taken.push((await shown.next()).value)
    return taken
  }

  test('begins with the last lines and goes on with each new one', async () => {
    const path = newLog(text(1, 10))
    const { shown } = start(path, 2)
    expect(await take(shown, 2)).toEqual(lines(9, 10))
    const next = take(shown, 2)
    appendFileSync(path, 'line 11\nline')
    appendFileSync(path, ' 12\n')
    expect(await next).toEqual(lines(11, 12))
  })

  test('loses no line when the file is rotated', async () => {
    const path = newLog(text(1, 1))
    const { shown } = start(path, 1)
    await take(shown, 1)
    for (let round = 0; round < 5; round += 1) {
      const from = 2 + round * 100
      const next = take(shown, 100)
      appendFileSync(path, text(from, from + 98))
      await rotateIfNeeded(path, { bytesMax: 800, filesMax: 3 })
      appendFileSync(path, text(from + 99, from + 99))
      expect(await next).toEqual(lines(from, from + 99))
    }
  })

  test('ends when it is told to, and when the file is deleted', async () => {
    const path = newLog(text(1, 1))
    const one = start(path, 1)
    await take(one.shown, 1)
    const ended = one.shown.next()
    one.stop.abort()
    expect((await ended).done).toBe(true)

    const two = start(path, 1)
    await take(two.shown, 1)
    const gone = two.shown.next()
    await dropLogs(path)
    expect((await gone).done).toBe(true)
  })

  test('leaves no file open for a reader who goes away in the middle of a rotated one', async () => {
    const path = newLog(text(1, 1))
    const { shown } = start(path, 1)
    await take(shown, 1)
    appendFileSync(path, text(2, 9))
    await rotateIfNeeded(path, { bytesMax: 55, filesMax: 3 })
    expect(await take(shown, 1)).toEqual(['line 2'])
    expect(openFiles()).toContain(`${path}.1`)
    await shown.return()
    expect(openFiles().filter((file) => file.startsWith(path))).toEqual([])
  })

  test('says so when there is no output', async () => {
    const { shown } = start(join(temporaryFolder(), 'none'), 1)
    await expect(shown.next()).rejects.toMatchObject({ code: 'not_found' })
  })
})

test('dropping logs deletes the rotated files too', async () => {
  const path = newLog('x'.repeat(1_100))
  await rotateIfNeeded(path, small)
  await dropLogs(path)
  expect([existsSync(path), existsSync(`${path}.1`)]).toEqual([false, false])
  rmSync(path, { force: true })
})
