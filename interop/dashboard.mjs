// The dashboard in a real browser, from the login to a delivered message and back out: what each page does, what it
// refuses, and that it can be used by everybody. Every page is checked by axe-core and leaves a picture.
import { Watched, XSS, logIn } from './dashboard/browser.mjs'
import { campaigns } from './dashboard/campaigns.mjs'
import { contacts } from './dashboard/contacts.mjs'
import { answer, block, converse, files, link, write } from './dashboard/messages.mjs'
import { leave, logs, webhooks } from './dashboard/rooms.mjs'
import { byKeyboard, everywhere, otherSite, otherUser, withoutScripts } from './dashboard/ways.mjs'
import { check, ok, story } from './product.mjs'

await story('the dashboard', 230_000, async start => {
    const product = await start({ env: { SANASEND_EGRESS__ALLOW: '127.0.0.0/8', SANASEND_LIMITS__REQUESTS_PER_MINUTE: '6000' } })
    const { api, admin } = product.ready
    const shop = await product.phone('Shop')
    const friend = await product.phone(`Ana ${XSS}`)
    const watched = await Watched.start(api)
    try {
        const began = Date.now()
        const context = await watched.person()
        const page = await context.newPage()
        await page.goto(`${api}/admin/`)
        await watched.look(page, 'login')
        await page.getByLabel('Username').fill(admin.username)
        await page.getByLabel('Password').fill('wrong')
        await page.getByRole('button', { name: 'Log in' }).click()
        await page.getByRole('alert').waitFor()
        await logIn(page, api, admin)
        await watched.look(page, 'overview')
        await page.close()
        const { session, phones, card } = await link(watched, context, api, shop)
        const seen = await write(watched, context, api, phones, friend)
        ok(`from the login to a read message and its answer in ${Date.now() - began} ms`)
        const message = new URL(seen.url()).pathname.replace('/admin/', '')
        await converse(watched, seen, api, phones, friend)
        await answer(phones, friend)
        await files(watched, seen, api, phones, friend)
        await block(watched, seen, api, phones, friend)
        await campaigns(watched, seen, api, friend)
        await webhooks(watched, seen, api)
        await contacts(watched, seen, api)
        await logs(watched, seen, api)
        await everywhere(watched, context, api, message)
        await otherSite(context, api)
        await otherUser(watched, api, admin, message, new URL(session.url()).pathname.replace('/admin/', ''))
        await byKeyboard(context, api, friend)
        await withoutScripts(watched, api, admin, friend)
        await leave(watched, session, card)
        watched.verdict()
        check(true, 'the whole story')
    } finally {
        await watched.stop()
    }
})
