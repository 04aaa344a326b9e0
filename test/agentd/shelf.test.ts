import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { openShelf } from '#agentd/images/shelf.io.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

test('npm in a build without a package installs into nothing above the agent’s folder', async () => {
  const outer = temporaryFolder()
  writeFileSync(join(outer, 'package.json'), '{ "name": "outer" }')
  const folder = join(outer, 'images')
  await openShelf(folder)
  const files = join(folder, 'builds/some-key/files')
  mkdirSync(files, { recursive: true })
  const { stdout } = await execa('npm', ['prefix'], { cwd: files })
  expect(stdout).toBe(folder)
})
