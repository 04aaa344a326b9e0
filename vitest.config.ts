// Three projects, fast ones first: pure and in-process tests, the simulator, real daemons.

import { defineConfig } from 'vitest/config'

/** What is looked for again and again is waited for as long as the machine needs. */
const patient = { poll: { timeout: 20_000 } }

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          expect: patient,
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/sim/**', 'test/v2/**'],
          // A test waits for a fact and not for time, so a busy machine may take its time.
          testTimeout: 30_000,
        },
      },
      {
        // In a machine with control groups v2, see test/v2/machine.sh.
        test: {
          name: 'v2',
          include: ['test/agentd/isolation/groups.test.ts', 'test/v2/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      { test: { name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 600_000 } },
      {
        test: {
          name: 'e2e',
          expect: patient,
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
