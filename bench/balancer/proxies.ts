// The proxies that are compared and how each is set up: one thread, kept connections to clients and
// programs, the fields X-Forwarded-*, round robin over the same two programs, timeouts, an access
// log or none. Where a proxy's defaults would cost it time here, they are set to its advantage.

export const proxyNames = ['ours', 'haproxy', 'nginx', 'caddy', 'former'] as const
export type ProxyName = (typeof proxyNames)[number]

export type Setting = {
  port: number
  origins: readonly number[]
  /** Its own, for configuration, state and log. */
  folder: string
  accessLog: boolean
  /** Who runs the benchmark. */
  user: string
  /** Flags of Node for `ours`. */
  nodeFlags: readonly string[]
}

export type Launch = {
  command: readonly string[]
  files: Readonly<Record<string, string>>
  env: Readonly<Record<string, string>>
}

/** Connections that stay open to a program; never fewer than the load can use. */
const KEPT_MAX = 512
/** "For ever": requests on one connection. Both nginx and the load would only count otherwise. */
const REQUESTS_MAX = 1_000_000_000
const MAIN = import.meta.dirname

export function launchOf(name: ProxyName, setting: Setting): Launch {
  const { folder } = setting
  const file = `${folder}/${name}.conf`
  switch (name) {
    case 'haproxy':
      return launch(['haproxy', '-db', '-f', file], { [file]: haproxyText(setting) })
    case 'nginx':
      return launch(['nginx', '-e', `${folder}/error`, '-c', file], { [file]: nginxText(setting) })
    case 'caddy':
      return {
        command: ['caddy', 'run', '--adapter', 'caddyfile', '--config', file],
        files: { [file]: caddyText(setting) },
        env: { GOMAXPROCS: '1', XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder, HOME: folder },
      }
    case 'former':
      return launch([process.execPath, `${MAIN}/former-proxy.ts`, jsonOf(setting)], {})
    case 'ours':
      return launch(
        [process.execPath, ...setting.nodeFlags, `${MAIN}/our-proxy.ts`, jsonOf(setting)],
        {},
      )
  }
}

export function accessLogOf({ folder }: Pick<Setting, 'folder'>): string {
  return `${folder}/access`
}

function launch(command: readonly string[], files: Launch['files']): Launch {
  return { command, files, env: {} }
}

/** What our own programs are told; see proxy-arguments.ts. */
function jsonOf({ port, origins, folder, accessLog }: Setting): string {
  return JSON.stringify({ port, origins, accessLog: accessLog ? accessLogOf({ folder }) : null })
}

// HAProxy logs to no file by itself: it prints, and what it prints goes into one.
function haproxyText({ port, origins, accessLog }: Setting): string {
  const log = accessLog ? ['  log global', '  option httplog'] : []
  return lines([
    'global',
    '  nbthread 1',
    '  maxconn 4000',
    ...(accessLog ? ['  log stdout format raw local0'] : []),
    'defaults',
    '  mode http',
    '  timeout client 60s',
    '  timeout server 60s',
    '  timeout connect 2s',
    '  timeout http-keep-alive 60s',
    '  timeout http-request 10s',
    '  timeout tunnel 1h',
    ...log,
    'frontend front',
    `  bind 127.0.0.1:${port}`,
    '  option forwardfor',
    '  http-request set-header X-Forwarded-Proto http',
    '  http-request set-header X-Forwarded-Host %[req.hdr(Host)]',
    '  default_backend programs',
    'backend programs',
    '  balance roundrobin',
    '  http-reuse always',
    ...origins.map((origin, index) => `  server s${index} 127.0.0.1:${origin}`),
  ])
}

function nginxText({ port, origins, folder, accessLog, user }: Setting): string {
  const log = accessLog ? `${accessLogOf({ folder })} combined buffer=64k flush=1s` : 'off'
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `  ${name}_temp_path ${folder}/${name};`,
  )
  return lines([
    `user ${user};`,
    'daemon off;',
    'worker_processes 1;',
    `pid ${folder}/nginx.pid;`,
    'events { worker_connections 4000; multi_accept on; }',
    'http {',
    `  access_log ${log};`,
    ...temporary,
    '  map $http_upgrade $upstream_connection { default upgrade; "" ""; }',
    '  upstream programs {',
    ...origins.map((origin) => `    server 127.0.0.1:${origin};`),
    `    keepalive ${KEPT_MAX};`,
    `    keepalive_requests ${REQUESTS_MAX};`,
    '  }',
    '  server {',
    `    listen 127.0.0.1:${port} backlog=4096;`,
    '    keepalive_timeout 60s;',
    `    keepalive_requests ${REQUESTS_MAX};`,
    '    tcp_nodelay on;',
    '    location / {',
    '      proxy_pass http://programs;',
    '      proxy_http_version 1.1;',
    '      proxy_set_header Connection $upstream_connection;',
    '      proxy_set_header Upgrade $http_upgrade;',
    '      proxy_set_header Host $http_host;',
    '      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
    '      proxy_set_header X-Forwarded-Proto $scheme;',
    '      proxy_set_header X-Forwarded-Host $http_host;',
    '      proxy_connect_timeout 2s;',
    '      proxy_max_temp_file_size 0;',
    '    }',
    '  }',
    '}',
  ])
}

// Caddy adds all three X-Forwarded-* by itself.
function caddyText({ port, origins, folder, accessLog }: Setting): string {
  const file = accessLogOf({ folder })
  const log = accessLog
    ? [`  log {\n    output file ${file} {\n      roll_disabled\n    }\n  }`]
    : []
  return lines([
    '{',
    '  admin off',
    '  auto_https off',
    '  servers {',
    '    protocols h1',
    '  }',
    '}',
    `http://:${port} {`,
    '  bind 127.0.0.1',
    ...log,
    `  reverse_proxy ${origins.map((origin) => `127.0.0.1:${origin}`).join(' ')} {`,
    '    lb_policy round_robin',
    '    transport http {',
    '      dial_timeout 2s',
    '      response_header_timeout 60s',
    '      compression off',
    `      keepalive_idle_conns ${KEPT_MAX}`,
    `      keepalive_idle_conns_per_host ${KEPT_MAX}`,
    '    }',
    '  }',
    '}',
  ])
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`
}
