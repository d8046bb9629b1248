// Other ways of using the pages: another site, another user, a small screen, the dark, the keyboard, no scripts.
import { check } from '../product.mjs'
import { logIn } from './browser.mjs'

const PAGES = ['', 'sessions/', 'sessions/new/', 'messages/', 'messages/new/', 'chats/', 'campaigns/', 'campaigns/new/', 'messages/scheduled/', 'schedules/', 'schedules/new/', 'quiet-hours/', 'templates/', 'templates/new/', 'users/', 'account/', 'contacts/', 'contacts/new/', 'contacts/import/', 'contacts/settings/', 'opt-outs/', 'webhooks/', 'webhooks/new/', 'requests/', 'audit/', 'jobs/', 'settings/', 'phones/']

/** Every page on a phone's screen and in the dark. */
export async function everywhere(watched, context, api, message) {
    const page = await context.newPage()
    for (const [name, width, colorScheme] of [['small', 360, 'light'], ['dark', 1280, 'dark']]) {
        await page.setViewportSize({ width, height: 800 })
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const path of [...PAGES, message]) {
            await page.goto(`${api}/admin/${path}`)
            await watched.look(page, `${name}-${path.split('/').filter(Boolean).slice(0, 2).join('-').replace(/[0-9a-f]{8}-.*/, 'one') || 'overview'}`)
        }
    }
    await page.close()
}

/** A form that another site sends does nothing. */
export async function otherSite(context, api) {
    for (const headers of [{ origin: 'http://evil.example', 'sec-fetch-site': 'cross-site' }, { origin: 'http://evil.example' }, {}]) {
        const answer = await context.request.post(`${api}/admin/sessions/new/`, { headers, form: { name: 'stolen' }, maxRedirects: 0 })
        check(answer.status() === 403, `a form of another site is refused (${Object.keys(headers).join(', ') || 'no header at all'})`, answer.status())
    }
    const page = await context.newPage()
    await page.goto(`${api}/admin/sessions/`)
    check(await page.getByText('stolen').count() === 0, 'and nothing was made')
    await page.close()
}

/** Who is no admin sees its own things only. */
export async function otherUser(watched, api, admin, message, session) {
    const told = async (path, body, token) => {
        const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
        const answer = await (await fetch(`${api}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })).json()
        if (!answer.success) throw new Error(JSON.stringify(answer))
        return answer.data
    }
    const { access } = await told('/auth/login/', admin)
    const user = { username: 'baker', password: 'a long enough passphrase 17' }
    await told('/users/', { ...user, email: 'baker@example.com' }, access)
    const context = await watched.person()
    const page = await context.newPage()
    await logIn(page, api, user)
    await page.goto(`${api}/admin/messages/`)
    await page.getByText('No messages yet').waitFor()
    check(await page.getByRole('link', { name: 'Jobs' }).count() === 0, 'no link leads to what is for admins')
    for (const path of [message, session]) {
        check((await page.goto(`${api}/admin/${path}`)).status() === 404, `what is another's does not exist: ${path.split('/')[0]}`)
    }
    for (const path of ['jobs/', 'settings/', 'phones/']) {
        check((await page.goto(`${api}/admin/${path}`)).status() === 403, `${path} is for admins`)
    }
    await page.goto(`${api}/admin/audit/`)
    await watched.look(page, 'user-audit')
    await context.close()
}

/** A text is sent without a mouse. */
export async function byKeyboard(context, api, friend) {
    const page = await context.newPage()
    await page.goto(`${api}/admin/messages/new/`)
    await page.keyboard.press('Tab')
    check(await page.evaluate(() => document.activeElement.className) === 'skip', 'the first stop skips the navigation')
    await page.keyboard.press('Enter')
    const reach = async (what, fits) => {
        for (let step = 0; step < 60; step += 1) {
            if (await page.evaluate(fits)) return
            await page.keyboard.press('Tab')
        }
        throw new Error(`the keyboard does not reach ${what}`)
    }
    await reach('the recipient', () => document.activeElement.id === 'recipient')
    await page.keyboard.type(friend)
    await reach('the text', () => document.activeElement.id === 'content')
    await page.keyboard.type('by keyboard')
    await reach('the button', () => document.activeElement.textContent === 'Send the text')
    await page.keyboard.press('Enter')
    await page.locator('#message-live .badge', { hasText: /sent|delivered|read/ }).waitFor()
    check(true, 'a text is sent by keyboard alone')
    await page.close()
}

/** The same without scripts: forms, lists, confirmations. */
export async function withoutScripts(watched, api, admin, friend) {
    const context = await watched.person({ javaScriptEnabled: false })
    const page = await context.newPage()
    await logIn(page, api, admin)
    for (const path of PAGES) check((await page.goto(`${api}/admin/${path}`)).status() === 200, `${path || 'overview'} works without scripts`)
    await page.goto(`${api}/admin/phones/`)
    const card = page.locator(`#phone-${friend.replace('+', '')}`)
    await card.getByLabel('Message', { exact: true }).fill('no scripts on this phone')
    await card.getByRole('button', { name: /^Send as/ }).click()
    await card.locator('.bubble.mine', { hasText: 'no scripts on this phone' }).waitFor()
    await page.goto(`${api}/admin/messages/new/?to=${encodeURIComponent(friend)}`)
    await page.locator('form[action*="/send-text/?once="]').getByLabel('Text').fill('no scripts here')
    await page.getByRole('button', { name: 'Send the text' }).click()
    await page.getByText('Accepted; it is on its way.').waitFor()
    await page.goto(`${api}/admin/sessions/`)
    await page.getByRole('link', { name: 'shop' }).click()
    await page.getByRole('link', { name: 'Delete the session' }).click()
    await page.getByRole('heading', { name: 'Delete shop?' }).waitFor()
    await page.getByRole('link', { name: 'Cancel' }).click()
    await page.getByRole('heading', { name: 'Session shop' }).waitFor()
    check(true, 'without scripts a question is a page')
    await context.close()
}
