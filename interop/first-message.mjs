// What a newcomer does: starts the product as the README says, and pastes the lines it prints, one after another.
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { check, expected, ok } from './product.mjs'

const LIMIT = 90_000
const LINES = 4
const run = promisify(execFile)
const program = process.env.SANASEND ?? fileURLToPath(new URL('../target/debug/sanasend', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'sanasend-first-'))
const free = '127.0.0.1:0'
const child = spawn(program, ['serve', '--sandbox', '--data-dir', join(folder, 'data'), '--listen', free,
    '--sandbox-listen', free, '--sandbox-tls-listen', free], { stdio: ['ignore', 'pipe', 'pipe'] })
const ended = new Promise(resolve => child.once('exit', resolve))
const hard = setTimeout(() => { console.error('not ok - first message: out of time'); child.kill('SIGKILL'); process.exit(1) }, LIMIT)
const printed = []
const log = []
createInterface({ input: child.stderr }).on('line', line => log.push(line))

/** Collects the commands that the product prints; a command that ends in `\` goes on in the next line. */
const commands = expected(`${LINES} curl lines`, 60_000)
const found = []
let open = ''
createInterface({ input: child.stdout }).on('line', line => {
    printed.push(line)
    const text = line.trim()
    if (!open && !text.startsWith('curl ')) return
    open += text.endsWith('\\') ? `${text.slice(0, -1)} ` : text
    if (!text.endsWith('\\')) {
        found.push(open)
        open = ''
    }
    if (found.length === LINES) commands.resolve(found)
})

let failed = false
try {
    const lines = await commands.promise
    ok(`it prints ${LINES} curl lines`)
    let last = ''
    for (const [index, line] of lines.entries()) {
        const { stdout } = await run('bash', ['-c', line], { cwd: folder, timeout: 60_000 })
        last = stdout
        check(stdout.length > 0, `line ${index + 1} works when pasted`, stdout)
    }
    check(/"status": *"(sent|delivered|read)"/.test(last) || /"text": *"/.test(last), 'the last line shows the delivered message', last)
} catch (error) {
    failed = true
    console.error(`not ok - first message: ${error.stack ?? error}\n${error.stdout ?? ''}\n${printed.join('\n')}\n${log.slice(-40).join('\n')}`)
}
child.kill('SIGTERM')
const killer = setTimeout(() => child.kill('SIGKILL'), 10_000)
await ended
clearTimeout(killer)
clearTimeout(hard)
rmSync(folder, { recursive: true, force: true })
process.exit(failed ? 1 : 0)
