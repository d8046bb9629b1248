// Starts ReDoc on this server's own document. Fonts are the system's: others would come from another host.
Redoc.init('/api/schema/', {
  scrollYOffset: 44,
  hideLoading: true,
  nativeScrollbars: true,
  requiredPropsFirst: true,
  theme: {
    typography: {
      fontFamily: 'system-ui, sans-serif',
      headings: { fontFamily: 'system-ui, sans-serif' },
      code: { fontFamily: 'ui-monospace, monospace' }
    }
  }
}, document.getElementById('redoc'))
