// Property tests of every operation by schemathesis: all checks, as an admin, with an API key, and a log-out at the end.
// SCHEMATHESIS names the program `st`. The seed is fixed, so that two runs of one version ask the same.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check, ok, story } from './product.mjs'

const program = process.env.SCHEMATHESIS ?? 'st'
const examples = process.env.EXAMPLES ?? '12'
// A live stream does not end, so no client of examples can read it to its end; Rust tests read them.
const streams = ['follow_events', 'follow_session', 'follow_events_by_websocket', 'follow_session_by_websocket']

const env = {
    SANASEND_LIMITS__REQUESTS_PER_MINUTE: '0',
    SANASEND_AUTH__BAD_CREDENTIALS_PER_MINUTE: '100000',
    SANASEND_AUTH__FAILURES_BEFORE_LOCK: '1000',
    SANASEND_AUTH__PASSWORD_MEMORY_KIB: '8192',
    SANASEND_AUTH__PASSWORD_PASSES: '1',
    SANASEND_AUTH__ACCESS_TOKEN_MINUTES: '60',
    SANASEND_MESSAGES__LONGEST_WAIT_SECONDS: '1',
    SANASEND_SESSIONS__FIRST_CODE_SECONDS: '2'
}

await story('schemathesis', 420_000, async start => {
    const product = await start({ env })
    const { api, admin, demo } = product.ready
    const answer = await fetch(`${api}/api/v1/auth/login/`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(admin)
    })
    const { access } = (await answer.json()).data
    const folder = mkdtempSync(join(tmpdir(), 'sanasend-schemathesis-'))
    // One worker: with two, Python's compiler now and then fails inside schemathesis ("AST constructor recursion depth mismatch").
    // Not `spawnSync`: somebody has to read the server's log meanwhile, or it stops writing.
    const run = async (name, header, more) => {
        const child = spawn(program, [
            '--config-file', new URL('schemathesis.toml', import.meta.url).pathname, 'run', `${api}/api/schema/`,
            '--checks', 'all', '--phases', 'examples,coverage,fuzzing', '--max-examples', examples, '--seed', '1700', '--workers', '1',
            '--request-timeout', '20', '--generation-database', 'none', '--suppress-health-check', 'all', '--no-color',
            '--exclude-path-regex', '^/api/docs|^/api/redoc', '-H', header, ...more
        ], { stdio: 'inherit', cwd: folder })
        const code = await new Promise(resolve => child.once('close', resolve))
        check(code === 0, `schemathesis as ${name}: no failure in any operation`)
    }
    const but = names => names.flatMap(name => ['--exclude-operation-id', name])
    try {
        await run('an admin', `Authorization: Bearer ${access}`, but([...streams, 'delete_login']))
        // Operations for logins alone refuse a key with 403. That check takes their `Authorization` header away and wants 401,
        // but the key is still there.
        await run('an API key', `X-API-Key: ${demo.api_key}`, ['--exclude-checks', 'missing_required_header', ...but(streams)])
        await run('an admin who leaves', `Authorization: Bearer ${access}`, ['--include-operation-id', 'delete_login'])
    } finally {
        rmSync(folder, { recursive: true, force: true })
    }
    const panics = product.log.filter(line => line.includes('panicked') || line.includes('request failed'))
    check(panics.length === 0, 'nothing went wrong inside the server', panics.slice(0, 3))
    ok('the server still answers')
})
