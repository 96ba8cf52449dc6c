using RawDiffusion.Diffusion.Data;

namespace RawDiffusion.Tests;

public class DataSetsTests
{
    public static TheoryData<string> Drawn => [.. DataSets.All.Where(info => !info.HasFiles).Select(info => info.Name)];

    [Fact]
    public void AnUnknownNameIsAnsweredWithTheList()
    {
        string message = Assert.Throws<ArgumentException>(() => DataSets.Open("mnits")).Message;
        Assert.StartsWith("unknown data set 'mnits'; there are: eight-gaussians, two-moons, ", message);
        Assert.All(DataSets.All, info => Assert.Contains(info.Name, message));
    }

    [Theory]
    [MemberData(nameof(Drawn))]
    public void ASetIsWhatItsDescriptionSays(string name)
    {
        var info = DataSets.Find(name);
        var data = DataSets.Open(name);
        Assert.Equal((name, info.SampleShape, info.Classes, null), (data.Name, data.SampleShape, data.Classes, data.Count));
        var batch = data.Draw(0, 3, seed: 1);
        Assert.Equal(info.SampleShape.Prepend(3), batch.X.Shape);
        Assert.Equal(info.Classes > 0, batch.Labels is not null);
        Assert.Equal(data.LabelKinds.Count > 1, batch.Attributes is not null);
    }
}
