// The dashboard in a real browser, second part: templates, what waits for its date, a campaign with a file, and what forms refuse. Apart from the first,
// which tells one person's way from the login to the logout.
import { Watched, logIn } from './dashboard/browser.mjs'
import { campaignWithFile } from './dashboard/campaign-files.mjs'
import { refusals } from './dashboard/refusals.mjs'
import { schedules } from './dashboard/schedules.mjs'
import { templates } from './dashboard/templates.mjs'
import { check, story } from './product.mjs'

await story('templates, schedules, campaigns with files and refusals in the dashboard', 220_000, async start => {
    const product = await start({ env: { SANASEND_LIMITS__REQUESTS_PER_MINUTE: '6000' } })
    const { api, admin } = product.ready
    const friend = await product.phone('Ana')
    const watched = await Watched.start(api)
    try {
        const context = await watched.person()
        const page = await context.newPage()
        await logIn(page, api, admin)
        await page.goto(`${api}/admin/sessions/new/`)
        await page.getByRole('button', { name: 'Show the code' }).click()
        await page.locator('.qr svg').waitFor()
        await product.scan(await page.locator('#qr-text').textContent(), await product.phone('Shop'))
        await page.getByText('connected', { exact: true }).waitFor()
        await refusals(watched, page, api)
        await templates(watched, page, api, friend)
        await schedules(watched, page, api, friend)
        await campaignWithFile(watched, page, api, product, friend)
        watched.verdict()
        check(true, 'the whole story')
    } finally {
        await watched.stop()
    }
})
