// The program `tucano`. An older Node could not even read the other files, so they are loaded
// only after a look at its version.

const NODE_MIN = 24

if (Number(process.versions.node.split('.')[0]) < NODE_MIN) {
  process.stderr.write(
    `tucano: needs Node ${NODE_MIN} or newer, this is ${process.version}; ` +
      'call it by bin/tucano or npm run tucano, which bring their own after npm ci\n',
  )
  process.exit(1)
}

const { runProcess } = await import('./process.io.ts')
await runProcess()

export {}
