"""The system that SanaSend replaces, as small as it can be: Django REST Framework, an API key, one durable row.

Everything that the old system did beside that (Celery, the bridge to a browser) is left out: this is its floor.
Served by gunicorn; see ../run.
"""
import hashlib
import hmac
import os
import sys

import django
from django.conf import settings

DATABASE = os.environ["BENCH_DATABASE"]

settings.configure(
    DEBUG=False,
    SECRET_KEY="bench",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework"],
    # It writes the length of the answer, which every kept-alive connection needs.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE,
            "CONN_MAX_AGE": None,
            # The same promise as SanaSend's: what was answered is on disk.
            "OPTIONS": {
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.db import connection, models  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import authentication, exceptions, permissions, serializers, status  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class ApiKey(models.Model):
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)

    class Meta:
        app_label = "bench"


class Message(models.Model):
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE)
    recipient = models.CharField(max_length=32)
    content = models.TextField()
    status = models.CharField(max_length=16, default="pending", db_index=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        app_label = "bench"


class Key(authentication.BaseAuthentication):
    def authenticate(self, request):
        plain = request.headers.get("X-API-Key", "")
        found = ApiKey.objects.filter(prefix=plain[:8]).first()
        digest = hashlib.sha256(plain.encode()).hexdigest()
        if found is None or not hmac.compare_digest(found.digest, digest):
            raise exceptions.AuthenticationFailed("The API key is not valid.")
        return found, None


class HasKey(permissions.BasePermission):
    def has_permission(self, request, view):
        return isinstance(request.user, ApiKey)


class MessageSerializer(serializers.ModelSerializer):
    recipient = serializers.RegexField(r"^\+[0-9]{7,15}$")

    class Meta:
        model = Message
        fields = ["id", "recipient", "content", "status", "created_at"]
        read_only_fields = ["id", "status", "created_at"]


class Send(APIView):
    authentication_classes = [Key]
    permission_classes = [HasKey]

    def post(self, request):
        asked = MessageSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        asked.save(key=request.user)
        return Response({"success": True, "message": "Accepted.", "data": asked.data}, status=status.HTTP_202_ACCEPTED)


urlpatterns = [path("messages/", Send.as_view())]


def prepare(plain):
    with connection.schema_editor() as editor:
        editor.create_model(ApiKey)
        editor.create_model(Message)
    ApiKey.objects.create(prefix=plain[:8], digest=hashlib.sha256(plain.encode()).hexdigest())


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(sys.argv[2])
    else:
        print(Message.objects.count())
else:
    application = get_wsgi_application()
