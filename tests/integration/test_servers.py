"""The servers that other tests stand on: they are real, they are empty, and they survive what they should."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import ConnectionError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from tests.fixtures.postgres import PostgresServer
from tests.fixtures.redis import RedisServer


async def test_postgres_answers_and_is_a_real_server(fresh_postgres_url: str) -> None:
    engine = create_async_engine(fresh_postgres_url)
    async with engine.begin() as connection:
        version = (await connection.execute(text("SHOW server_version"))).scalar_one()
        tables = (await connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))).scalar()
    await engine.dispose()
    assert int(version.split(".")[0]) >= 15
    assert tables == 0


async def test_committed_rows_survive_a_crash_and_open_transactions_do_not(
    postgres_server: PostgresServer, fresh_postgres_url: str
) -> None:
    engine = create_async_engine(fresh_postgres_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE visit (id integer PRIMARY KEY)"))
        await connection.execute(text("INSERT INTO visit VALUES (1)"))
    connection = await engine.connect()
    await connection.execute(text("INSERT INTO visit VALUES (2)"))
    postgres_server.kill()
    postgres_server.start()
    with pytest.raises((DBAPIError, OSError)):
        await connection.commit()
        await connection.execute(text("SELECT 1"))
    await connection.invalidate()
    await connection.close()
    async with engine.connect() as again:
        assert (await again.execute(text("SELECT id FROM visit"))).scalars().all() == [1]
    await engine.dispose()


def test_fresh_databases_are_separate(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_database(), postgres_server.create_database()
    try:
        postgres_server.execute("CREATE TABLE only_here (id integer)", first)
        postgres_server.execute("CREATE TABLE only_here (id integer)", second)
    finally:
        postgres_server.drop_database(first)
        postgres_server.drop_database(second)


def test_redis_is_empty_at_the_start_of_a_test(redis_url: str, redis_server: RedisServer) -> None:
    assert urlsplit(redis_url).port == redis_server.port
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")
    with redis_server.client() as client:
        assert client.get("left") == b"behind"


def test_redis_can_go_away_and_come_back(redis_url: str, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("before", "1")
        redis_server.stop()
        with pytest.raises(ConnectionError):
            client.ping()
        redis_server.start()
        assert client.dbsize() == 0
