using System.Security.Cryptography;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Data.Files;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

/// <summary>Files are looked for in the folder that the user names, else in the cache, else on the web.</summary>
public sealed class DataFileSetTests : IDisposable
{
    private static readonly byte[] s_first = [1, 2, 3], s_second = [4, 5, 6, 7];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void TheNamedFolderIsTheOnlyPlace()
    {
        var set = MakeSet(LoopbackServer.DeadAddress());
        File.WriteAllBytes(_folder["first.gz"], s_first);
        string message = Assert.Throws<FileNotFoundException>(() => set.Provide(new DataOptions { Directory = _folder.Path })).Message;
        Assert.Equal($"{_folder.Path}: toys needs second.gz in this folder, as published or unzipped", message);
        // As published or unzipped, whatever the bytes: what is in them is looked at when they are read.
        File.WriteAllText(_folder["second"], "other");
        Assert.Equal(_folder.Path, set.Provide(new DataOptions { Directory = _folder.Path }));

        message = Assert.Throws<DirectoryNotFoundException>(() => set.Provide(new DataOptions { Directory = _folder["none"] })).Message;
        Assert.Equal($"{_folder["none"]}: there is no such folder; toys needs one with first.gz, second.gz", message);
    }

    [Fact]
    public void WhatIsNotInTheCacheIsDownloadedOnce()
    {
        using var server = new LoopbackServer((request, connection) =>
            LoopbackServer.Whole(request.Path == "/first.gz" ? s_first : s_second)(request, connection));
        var options = new DataOptions { CacheDirectory = _folder.Path };
        for (int i = 0; i < 2; i++)
            Assert.Equal(_folder["data/toys"], MakeSet(server.Address).Provide(options));
        Assert.Equal(s_second, File.ReadAllBytes(_folder["data/toys/second.gz"]));
        Assert.Equal(["/first.gz", "/second.gz"], server.Requests.Select(request => request.Path));

        File.Delete(_folder["data/toys/first.gz"]);
        File.WriteAllText(_folder["data/toys/first"], "mine, unzipped");
        MakeSet(server.Address).Provide(options with { Offline = true });
        Assert.Equal(2, server.Requests.Length);
    }

    [Fact]
    public void OfflineTheFilesAreNamedInsteadOfDownloaded()
    {
        using var server = new LoopbackServer(LoopbackServer.Whole(s_first));
        string message = Assert.Throws<FileNotFoundException>(
            () => MakeSet(server.Address).Provide(new DataOptions { CacheDirectory = _folder.Path, Offline = true })).Message;
        Assert.Equal(
            $"toys is not in {_folder["data/toys"]} and is not to be downloaded; put into {_folder["data/toys"]}, or into a folder named with --data-dir: "
            + $"first.gz (3 bytes, sha256 {Sha256(s_first)}), second.gz (4 bytes, sha256 {Sha256(s_second)})", message);
        Assert.Empty(server.Requests);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void AFailureSaysWhyAndWhatToPutWhere()
    {
        using var server = new LoopbackServer((request, connection) =>
        {
            if (request.Path == "/first.gz")
                LoopbackServer.Whole(s_first)(request, connection);
            else
                LoopbackServer.Status("404 Not Found")(request, connection);
        });
        string message = Assert.Throws<DownloadException>(
            () => MakeSet(server.Address).Provide(new DataOptions { CacheDirectory = _folder.Path })).Message;
        Assert.Equal(
            $"second.gz cannot be downloaded ({server.Address}second.gz: 404 Not Found); put into {_folder["data/toys"]}, or into a folder named with "
            + $"--data-dir: second.gz (4 bytes, sha256 {Sha256(s_second)})", message);
    }

    [Theory]
    [InlineData("/own", "/cache", "/own")]
    [InlineData("", "/cache", "/cache/rawdiffusion")]
    [InlineData(null, "/cache", "/cache/rawdiffusion")]
    [InlineData(null, "relative", "/home/me/.cache/rawdiffusion")]
    [InlineData(null, null, "/home/me/.cache/rawdiffusion")]
    public void TheCacheFolderIsTheFirstThatIsSet(string? own, string? cache, string expected) =>
        Assert.Equal(expected, CacheFolder.Find(name => name == "RAWDIFFUSION_HOME" ? own : cache, "/home/me"));

    [Fact]
    public void WithoutAHomeTheVariableIsNamed() =>
        Assert.Contains("RAWDIFFUSION_HOME", Assert.Throws<DirectoryNotFoundException>(() => CacheFolder.Find(_ => null, "")).Message);

    private static DataFileSet MakeSet(string address) => new(
        "toys",
        new DataFile("first.gz", s_first.Length, Sha256(s_first), address + "first.gz"),
        new DataFile("second.gz", s_second.Length, Sha256(s_second), address + "second.gz"));

    private static string Sha256(byte[] contents) => Convert.ToHexStringLower(SHA256.HashData(contents));
}
