// A browser that watches itself: every page it opens is held to the policy, to this host, and to sound scripts; pages that
// are looked at are checked for accessibility and leave a picture.
// CHROMIUM names the browser. Pictures of the pages go to SCREENSHOTS.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import axe from 'axe-core'
import { chromium } from 'playwright-core'
import { check } from '../product.mjs'

const browserPath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const pictures = join(process.env.SCREENSHOTS ?? new URL('../../target/screenshots', import.meta.url).pathname, 'dashboard')

/** What scripts of strangers would set; no page may ever have it. */
export const XSS = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'

export class Watched {
    static async start(api) {
        mkdirSync(pictures, { recursive: true })
        const browser = await chromium.launch({
            executablePath: browserPath,
            args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking']
        })
        return new Watched(browser, api)
    }

    constructor(browser, api) {
        this.browser = browser
        this.api = api
        this.violations = []
        this.strangers = []
        this.errors = []
        this.problems = []
        this.looked = 0
    }

    /** A person's browser: cookies of its own. */
    async person(options = {}) {
        const context = await this.browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options })
        context.setDefaultTimeout(20_000)
        context.on('page', page => this.#watch(page))
        return context
    }

    #watch(page) {
        page.on('console', message => {
            if (/Content Security Policy|violat/i.test(message.text())) this.violations.push(`${page.url()}: ${message.text()}`)
        })
        page.on('pageerror', error => this.errors.push(`${page.url()}: ${error}`))
        page.on('request', request => {
            const url = request.url()
            if (!url.startsWith(this.api) && !url.startsWith('blob:')) this.strangers.push(url)
        })
    }

    /** Checks what is on the screen, and keeps a picture of it. */
    async look(page, name) {
        await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
        await page.evaluate(axe.source)
        const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ['violations'] })).violations
            .map(({ id, nodes }) => ({ id, where: nodes.slice(0, 3).map(node => `${node.target} ${node.failureSummary ?? ''}`) })))
        this.#note(found.length === 0, `${name}: no violation of accessibility`, found)
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
        this.#note(wide <= 0, `${name}: fits its width`, wide)
        this.#note(await page.evaluate(() => globalThis.pwned === undefined), `${name}: no script of a stranger ran`)
        this.looked += 1
    }

    /** Prints a check; one that does not hold fails the verdict, after all pages were looked at. */
    #note(holds, text, found) {
        console.log(`${holds ? 'ok' : 'not ok'} - ${text}${holds ? '' : `: ${JSON.stringify(found)}`}`)
        if (!holds) this.problems.push(text)
    }

    /** What must hold over everything that was opened. */
    verdict() {
        check(this.problems.length === 0, 'every page that was looked at is sound', this.problems)
        check(this.violations.length === 0, 'no page breaks the policy', this.violations.slice(0, 3))
        check(this.strangers.length === 0, 'no page asks another host', this.strangers.slice(0, 3))
        check(this.errors.length === 0, 'no script fails', this.errors.slice(0, 3))
        check(this.looked > 0, `${this.looked} pages were looked at`)
    }

    stop() { return this.browser.close() }
}

/** Logs a person in through the page. */
export async function logIn(page, api, { username, password }) {
    await page.goto(`${api}/admin/`)
    await page.getByLabel('Username').fill(username)
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
}

/** Sends a form again, as the button that reloads does; answers where it leads. */
export async function twice(page, address, form) {
    const url = new URL(address, page.url())
    const headers = { 'sec-fetch-site': 'same-origin', accept: 'text/html' }
    const answer = await page.context().request.post(url.href, { headers, form, maxRedirects: 0 })
    return answer.headers().location
}

/** Waits for the sentence that a page says about what was done. */
export async function says(page, text, tone = 'good') {
    await page.locator(`.flash.${tone}`, { hasText: text }).waitFor()
    check(true, `it says: ${text}`)
}
