// The table of commands, in the order of the help.

import { alerts } from './alerts.ts'
import { balancer } from './balancer.ts'
import type { Command } from './command.ts'
import { config } from './config.ts'
import { cordon } from './cordon.ts'
import { deploy } from './deploy.ts'
import { diff } from './diff.ts'
import { drain } from './drain.ts'
import { events } from './events.ts'
import { explain } from './explain.ts'
import { createHelp } from './help.ts'
import { history } from './history.ts'
import { logs } from './logs.ts'
import { maintenance } from './maintenance.ts'
import { nodes } from './nodes.ts'
import { pause } from './pause.ts'
import { plan } from './plan.ts'
import { ps } from './ps.ts'
import { rebalance } from './rebalance.ts'
import { restart } from './restart.ts'
import { resume } from './resume.ts'
import { rm } from './rm.ts'
import { rollback } from './rollback.ts'
import { scale } from './scale.ts'
import { secret } from './secret.ts'
import { services } from './services.ts'
import { show } from './show.ts'
import { simulate } from './simulate.ts'
import { start } from './start.ts'
import { stop } from './stop.ts'
import { uncordon } from './uncordon.ts'
import { undrain } from './undrain.ts'
import { unfreeze } from './unfreeze.ts'
import { up } from './up/up.ts'
import { version } from './version.ts'

export const commands: readonly Command[] = [
  up,
  deploy,
  plan,
  ps,
  nodes,
  services,
  show,
  explain,
  logs,
  balancer,
  scale,
  stop,
  start,
  restart,
  rollback,
  history,
  diff,
  pause,
  resume,
  maintenance,
  rm,
  secret,
  cordon,
  uncordon,
  drain,
  undrain,
  rebalance,
  unfreeze,
  simulate,
  events,
  alerts,
  config,
  version,
  createHelp(() => commands),
]
