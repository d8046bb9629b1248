// Runs docs/api-guide.md: the blocks of each language, put together in their order, as one program against the product.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check, story } from './product.mjs'

const guide = readFileSync(new URL('../docs/api-guide.md', import.meta.url), 'utf8')
const languages = {
    sh: { file: 'guide.sh', run: file => ['sh', ['-eu', file]] },
    python: { file: 'guide.py', run: file => ['python3', [file]] },
    javascript: { file: 'guide.mjs', run: file => [process.execPath, [file]] }
}
const blocks = [...guide.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({ language, text }))

await story('the guide', 180_000, async start => {
    const strange = blocks.filter(block => !languages[block.language]).map(block => block.language)
    check(strange.length === 0, 'every block of the guide is in a language that is run', strange)
    const sections = guide.split(/^## /m).slice(1)
    const lacking = sections.filter(section => Object.keys(languages).some(language => !section.includes(`\`\`\`${language}\n`)))
    check(lacking.length === 0, `all ${sections.length} sections have all languages`, lacking.map(section => section.split('\n')[0]))
    const product = await start()
    const { api, sandbox, admin } = product.ready
    await product.control('POST', '/phones', { phone: '+12025550123' })
    for (const [language, { file, run }] of Object.entries(languages)) {
        const folder = mkdtempSync(join(tmpdir(), 'sanasend-guide-'))
        const path = join(folder, file)
        writeFileSync(path, blocks.filter(block => block.language === language).map(block => block.text).join('\n'))
        const [program, args] = run(path)
        const env = { PATH: process.env.PATH, API: `${api}/api/v1`, SANDBOX: `${sandbox.admin}/admin`, ADMIN_PASSWORD: admin.password }
        const said = []
        const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
        for (const stream of [child.stdout, child.stderr]) stream.on('data', data => said.push(data))
        const limit = setTimeout(() => child.kill('SIGKILL'), 60_000)
        const code = await new Promise(resolve => child.once('close', resolve))
        clearTimeout(limit)
        if (code !== 0) console.error(Buffer.concat(said).toString().slice(-2000))
        rmSync(folder, { recursive: true, force: true })
        check(code === 0, `the guide runs in ${language}`, code)
    }
})
