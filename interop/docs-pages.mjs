// The documentation pages in a real browser: they show every operation, break no policy, and ask no other host.
// CHROMIUM names the browser. Pictures of the pages go to SCREENSHOTS.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { check, story } from './product.mjs'

const browserPath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const pictures = process.env.SCREENSHOTS ?? new URL('../target/screenshots', import.meta.url).pathname

await story('the documentation pages', 120_000, async start => {
    const product = await start()
    const { api } = product.ready
    const schema = await (await fetch(`${api}/api/schema/`)).json()
    const operations = Object.values(schema.paths).flatMap(item => Object.values(item))
    mkdirSync(pictures, { recursive: true })
    const browser = await chromium.launch({
        executablePath: browserPath,
        args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking']
    })
    const look = async (name, path, ready, seen) => {
        const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
        const violations = [], strangers = [], errors = []
        page.on('console', message => { if (/Content Security Policy|violat/i.test(message.text())) violations.push(message.text()) })
        page.on('pageerror', error => errors.push(String(error)))
        page.on('request', request => {
            const url = request.url()
            if (!url.startsWith(api) && !url.startsWith('data:') && !url.startsWith('blob:')) strangers.push(url)
        })
        await page.goto(`${api}${path}`)
        await page.waitForSelector(ready, { timeout: 60_000 })
        const text = await page.evaluate(() => document.body.innerText)
        const html = await page.content()
        await page.screenshot({ path: join(pictures, `${name}.png`) })
        check(violations.length === 0, `${name} breaks no policy`, violations.slice(0, 3))
        check(errors.length === 0, `${name} has no script error`, errors.slice(0, 3))
        check(strangers.length === 0, `${name} asks no other host`, strangers.slice(0, 3))
        seen(text, html)
        await page.close()
    }
    try {
        await look('root', '/', 'main a', text => check(text.includes('SanaSend'), 'the page at the root says what runs here'))
        await look('swagger', '/api/docs/', '.opblock-summary', (_, html) => {
            const shown = html.match(/class="opblock opblock-/g)?.length ?? 0
            check(shown === operations.length, `Swagger UI shows all ${operations.length} operations`, shown)
        })
        await look('redoc', '/api/redoc/', '[data-section-id], [id^="tag/"], [id*="operation/"]', (text, html) => {
            const missing = operations.filter(operation => !html.includes(operation.summary.replaceAll('&', '&amp;'))).map(operation => operation.operationId)
            check(missing.length === 0, `ReDoc shows all ${operations.length} operations`, missing.slice(0, 5))
        })
    } finally {
        await browser.close()
    }
})
