// A real program with secrets and a volume: what it sees, what others see of it, and what is left
// when it has ended.

import { existsSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createPrograms } from '#agentd/runner/programs.io.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const SCRIPT = [
  'cat "$TUCANO_SECRETS/key" >"$TUCANO_VOLUME_DATA/seen"',
  'printf %s "$PASSWORD" >>"$TUCANO_VOLUME_DATA/seen"',
  'exec sleep 600',
].join('\n')

test('S6: it has them as file and variable, its command line has not, and they go with it', async () => {
  const dataFolder = temporaryFolder()
  const secretsFolder = join('/dev/shm', `tucano-test-${process.pid}`)
  onTestFinished(() => rm(secretsFolder, { recursive: true, force: true }))
  using programs = createPrograms({ dataFolder, host: '127.0.0.1', log, secretsFolder })
  const ended = new Promise<void>((resolve) => programs.onEnd(() => resolve()))
  const mark = await programs.start({
    id: 'i-1',
    argv: ['/bin/sh', '-c', SCRIPT],
    folder: dataFolder,
    env: { PASSWORD: 'canary-variable' },
    files: [{ name: 'key', text: 'canary-file\n' }],
    volumes: { service: 'api', names: ['data'] },
  })
  onTestFinished(() => programs.signal('i-1', mark, 'SIGKILL'))
  const seen = join(dataFolder, 'volumes/api/data/seen')
  await expect
    .poll(() => existsSync(seen) && readFileSync(seen, 'utf8'))
    .toBe('canary-file\ncanary-variable')
  expect(readFileSync(`/proc/${mark.pid}/cmdline`, 'utf8')).not.toContain('canary')
  expect(existsSync(join(secretsFolder, 'i-1/key'))).toBe(true)

  programs.signal('i-1', mark, 'SIGKILL')
  await ended
  await programs.sweep('i-1')
  expect(existsSync(secretsFolder)).toBe(false)
  await programs.forget('i-1')
  expect(existsSync(seen)).toBe(true)
})
