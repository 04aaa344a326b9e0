// What differences between revisions are told of: versions of secrets are, places of files are not.

import { expect, test } from 'vitest'
import { shownConfig, shownRevision } from '#ctld/api/shown-config.ts'
import { diffConfig } from '#shared/config-diff.ts'
import { aConfig } from '#test/fakes/ctld.ts'

const config = aConfig({ secrets: { db: { variable: 'DB' }, tls: { file: 'tls' } } })
const entry = { revision: 1, program: 1, at: 0, config }

test('a new version of a secret is a difference', () => {
  const was = shownRevision({ ...entry, secrets: { db: 1, tls: 1 } })
  const is = shownRevision({ ...entry, revision: 2, secrets: { db: 2, tls: 1 } })
  expect(diffConfig(was, is)).toEqual([{ key: 'secrets.db.version', before: 1, after: 2 }])
  expect(diffConfig(was, shownConfig(config, { db: 1, tls: 1, other: 9 }))).toEqual([])
})

test('a service without secrets has none to show', () => {
  expect(shownConfig(aConfig())).not.toHaveProperty('secrets')
  expect(shownConfig(undefined)).toBeUndefined()
})
